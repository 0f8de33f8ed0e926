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
	held, err := holdsAny(leader, listening)
	if !held && err == nil { // usually the leader does
		held, err = b.othersHold(leader, listening)
	}
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil
	case err == nil && !held:
		return errHeld
	}
	return err
}

// othersHold is holdsAny for the processes of the branch, as far as they can be found, other than
// its leader.
func (b *Branch) othersHold(leader int, links map[string]bool) (bool, error) {
	for _, pid := range b.Processes(leader) {
		if pid == leader {
			continue
		}
		if held, err := holdsAny(pid, links); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

// holdsAny reports whether a process, which may have ended, has open files to which links in
// /proc/PID/fd have these contents.
func holdsAny(pid int, links map[string]bool) (bool, error) {
	dir, err := os.Open(procFile(pid, "fd"))
	if err != nil {
		return false, unlessEnded(err)
	}
	defer dir.Close()
	fds, err := dir.Readdirnames(-1)
	for _, fd := range fds {
		if to, err := os.Readlink(dir.Name() + "/" + fd); err == nil && links[to] {
			return true, nil
		}
	}
	return false, unlessEnded(err)
}

// unlessEnded returns err, or nil if it says that a process has ended.
func unlessEnded(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
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
