package tree

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Both ways to find listeners find the same ones, and none of the connections at the port.
func TestListeners(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		t.Run(addr, func(t *testing.T) {
			l, err := net.Listen("tcp", addr)
			if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			at := l.Addr().(*net.TCPAddr).AddrPort()
			want := listener{at.Addr().Unmap(), inodeOf(t, l)}
			for name, find := range map[string]func(uint16) ([]listener, error){
				"asked": askListeners, "read": readListeners, "either": listeners,
			} {
				all, err := find(at.Port())
				if name == "asked" && errors.Is(err, unix.EPROTONOSUPPORT) {
					continue // a sandbox
				}
				if err != nil || len(all) != 1 || all[0] != want {
					t.Errorf("%s: got %v, %v; want %v alone", name, all, err, want)
				}
			}
		})
	}
}

// An answer that reports a failure or is cut off is an error, whatever it lists.
func TestFailedAnswers(t *testing.T) {
	message := func(kind uint16, body ...byte) []byte {
		m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
		m = binary.NativeEndian.AppendUint16(m, kind)
		return append(append(m, make([]byte, 10)...), body...)
	}
	number := func(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
	socket := make([]byte, 72)
	socket[0], socket[1], socket[5] = unix.AF_INET, tcpListen, 80
	listed := message(unix.SOCK_DIAG_BY_FAMILY, socket...)
	end := message(unix.NLMSG_DONE, number(0)...)
	for name, tt := range map[string]struct {
		part []byte
		want error
	}{
		"complete": {slices.Concat(listed, end), nil},
		"failed":   {message(unix.NLMSG_ERROR, number(-int32(unix.ENOENT))...), unix.ENOENT},
		"given up": {slices.Concat(listed, message(unix.NLMSG_DONE, number(-int32(unix.ENOMEM))...)), unix.ENOMEM},
		"cut off":  {slices.Concat(listed, end[:len(end)-1]), errDiag},
		"short":    {slices.Concat(message(unix.SOCK_DIAG_BY_FAMILY, socket[1:]...), end), errDiag},
	} {
		all, done, err := appendListeners(nil, tt.part, 80)
		if err != tt.want || done != (err == nil) || len(all) != map[bool]int{true: 1}[done] {
			t.Errorf("%s: got %v, done: %v, %v; want the error %v", name, all, done, err, tt.want)
		}
	}
}

func inodeOf(t *testing.T, l net.Listener) uint32 {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := errors.Join(raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &stat) }), err); err != nil {
		t.Fatal(err)
	}
	return uint32(stat.Ino)
}

func TestAcceptsAnAddress(t *testing.T) {
	for _, tt := range []struct {
		listens, addr string
		want          bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"127.0.0.1", "::1", false},
		{"127.0.0.1", "::ffff:127.0.0.1", true},
		{"0.0.0.0", "127.0.0.1", true},
		{"::", "127.0.0.1", true},
		{"127.0.0.1", "0.0.0.0", true},
		{"127.0.0.1", "", true},
		{"fe80::1", "fe80::1%eth0", true},
	} {
		addr, _ := netip.ParseAddr(tt.addr)
		if got := (listener{addr: netip.MustParseAddr(tt.listens)}).accepts(addr); got != tt.want {
			t.Errorf("listening at %s, accepts %q: %v, want %v", tt.listens, tt.addr, got, tt.want)
		}
	}
}
