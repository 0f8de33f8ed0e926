package tree

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// tcpListen is the state of listening sockets, TCP_LISTEN in the kernel.
const tcpListen = 10

// askListeners asks the kernel for the sockets that listen at a port, see sock_diag(7). This takes
// microseconds, but not every kernel and sandbox supports it.
func askListeners(port uint16) ([]listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buffer := make([]byte, os.Getpagesize()) // the kernel sends no more at a time
	var all []listener
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, listenersRequest(family, port), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, err
		}
		for done := false; !done; {
			n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT) // a kernel answers at once
			if err != nil {
				return nil, err
			}
			if all, done, err = appendListeners(all, buffer[:n], port); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// listenersRequest returns a struct nlmsghdr, and a struct inet_diag_req_v2 that asks for all
// listening sockets of a family at a port.
func listenersRequest(family byte, port uint16) []byte {
	const size = unix.SizeofNlMsghdr + 56
	r := binary.NativeEndian.AppendUint32(nil, size)
	r = binary.NativeEndian.AppendUint16(r, unix.SOCK_DIAG_BY_FAMILY)
	r = binary.NativeEndian.AppendUint16(r, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r = append(r, make([]byte, 8)...) // sequence number and sender
	r = append(r, family, unix.IPPROTO_TCP, 0, 0)
	r = binary.NativeEndian.AppendUint32(r, 1<<tcpListen)
	r = binary.BigEndian.AppendUint16(r, port)
	return append(r, make([]byte, size-len(r))...)
}

var errDiag = errors.New("malformed answer of sock_diag")

// appendListeners appends the sockets in a part of the kernel's answer, which consists of struct
// nlmsghdr, each with a struct inet_diag_msg. Done reports whether it is the last part.
func appendListeners(to []listener, part []byte, port uint16) (all []listener, done bool, err error) {
	const state, portAt, addrAt, inodeAt, size = 1, 4, 8, 68, 72
	for len(part) >= unix.SizeofNlMsghdr {
		length := int(binary.NativeEndian.Uint32(part))
		if length < unix.SizeofNlMsghdr || length > len(part) {
			return nil, false, errDiag
		}
		body := part[unix.SizeofNlMsghdr:length]
		switch kind := binary.NativeEndian.Uint16(part[4:]); {
		case (kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR) && len(body) >= 4:
			// Both carry a negative error number, or 0.
			if failure := -int32(binary.NativeEndian.Uint32(body)); failure != 0 {
				return nil, false, unix.Errno(failure)
			}
			return to, true, nil
		case kind != unix.SOCK_DIAG_BY_FAMILY || len(body) < size:
			return nil, false, errDiag
		}
		addr := body[addrAt : addrAt+16]
		if body[0] == unix.AF_INET {
			addr = addr[:4]
		}
		at, _ := netip.AddrFromSlice(addr) // never fails with these lengths
		if body[state] == tcpListen && binary.BigEndian.Uint16(body[portAt:]) == port {
			to = append(to, listener{at.Unmap(), binary.NativeEndian.Uint32(body[inodeAt:])})
		}
		part = part[min(len(part), (length+3)&^3):]
	}
	return to, false, nil
}

// readListeners finds the sockets that listen at a port in tables of all connections. This takes
// milliseconds, however few connections there are.
func readListeners(port uint16) ([]listener, error) {
	var all []listener
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // there may be no IPv6
			return nil, err
		}
		all = append(all, parseListeners(string(text), port)...)
	}
	return all, nil
}

// parseListeners returns the sockets in a table that listen at a port, see proc_net_tcp(5).
func parseListeners(table string, port uint16) (all []listener) {
	const local, state, inode, listen = 1, 3, 9, "0A"
	suffix := ":" + strings.ToUpper(hex.EncodeToString(binary.BigEndian.AppendUint16(nil, port)))
	for line := range strings.Lines(table) {
		if !strings.Contains(line, suffix+" ") { // most lines
			continue
		}
		fields := strings.Fields(line)
		if len(fields) <= inode || fields[state] != listen || !strings.HasSuffix(fields[local], suffix) {
			continue
		}
		at, ok := parseHexAddr(strings.TrimSuffix(fields[local], suffix))
		if n, err := strconv.ParseUint(fields[inode], 10, 32); ok && err == nil {
			all = append(all, listener{at, uint32(n)})
		}
	}
	return all
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
