package tree

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errHeld is why a replica is not ready although its address accepts connections.
var errHeld = errors.New("another process listens at the address")

// Holds returns an error if a process listens at an address of this machine and it does not belong
// to the branch. It returns nil if that cannot be determined: no process is seen to listen there,
// as in another network namespace, or the branch's processes may not be inspected. Other obstacles,
// such as a lack of descriptors, are errors of their own.
func (b *Branch) Holds(leader int, addr string) error {
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil
	}
	listening := make(map[string]bool)
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // there may be no IPv6
			return err
		}
		listeners(string(text), want.AddrPort(), listening)
	}
	if len(listening) == 0 {
		return nil
	}
	for _, pid := range append(b.Processes(leader), leader) { // Processes may find none
		dir := procFile(pid, "fd")
		fds, err := os.ReadDir(dir)
		switch {
		case errors.Is(err, os.ErrPermission):
			return nil
		// Other than that it has ended.
		case err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH):
			return err
		}
		for _, fd := range fds {
			if to, err := os.Readlink(dir + "/" + fd.Name()); err == nil && listening[to] {
				return nil
			}
		}
	}
	return errHeld
}

// listeners adds the sockets in a table, see proc_net_tcp(5), that listen at an address, under the
// names that links in /proc/PID/fd have for them.
func listeners(table string, want netip.AddrPort, sockets map[string]bool) {
	const local, state, inode, listen = 1, 3, 9, "0A"
	suffix := ":" + strings.ToUpper(hex.EncodeToString(binary.BigEndian.AppendUint16(nil, want.Port())))
	for line := range strings.Lines(table) {
		if !strings.Contains(line, suffix+" ") { // most lines
			continue
		}
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != listen || !strings.HasSuffix(fields[local], suffix) {
			continue
		}
		at, ok := parseHexAddr(strings.TrimSuffix(fields[local], suffix))
		if ok && (at.IsUnspecified() || !want.Addr().IsValid() || want.Addr().IsUnspecified() || at == want.Addr().Unmap().WithZone("")) {
			sockets["socket:["+fields[inode]+"]"] = true
		}
	}
}

// parseHexAddr parses an address that consists of 32-bit words in the machine's byte order.
func parseHexAddr(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for part := b; len(part) > 0; part = part[4:] {
		binary.NativeEndian.PutUint32(part, binary.BigEndian.Uint32(part))
	}
	at, ok := netip.AddrFromSlice(b)
	return at.Unmap(), ok
}
