package tree

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"

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
	sockets, err := listeners(want.AddrPort().Port())
	if err != nil {
		return err
	}
	listening := make(map[string]bool)
	for _, s := range sockets {
		if s.accepts(want.AddrPort().Addr()) {
			listening[s.link()] = true
		}
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

// listener is a listening TCP socket.
type listener struct {
	addr  netip.Addr // without zone; an IPv4 address is not mapped to IPv6
	inode uint32
}

// accepts reports whether the socket may accept connections to an address. If the address is
// invalid or unspecified, any address of this machine is meant.
func (l listener) accepts(addr netip.Addr) bool {
	return l.addr.IsUnspecified() || !addr.IsValid() || addr.IsUnspecified() || l.addr == addr.Unmap().WithZone("")
}

// link returns what links in /proc/PID/fd to the socket contain.
func (l listener) link() string { return "socket:[" + strconv.FormatUint(uint64(l.inode), 10) + "]" }

// listeners returns the sockets that listen at a port.
func listeners(port uint16) ([]listener, error) {
	if all, err := askListeners(port); err == nil {
		return all, nil
	}
	return readListeners(port) // the kernel or a sandbox lacks the interface
}
