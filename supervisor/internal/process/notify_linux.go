package process

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/process/tree"
)

// credentialsSize is room for a sender's credentials and nothing else, so that the kernel closes
// any descriptors in a message.
var credentialsSize = unix.CmsgSpace(unix.SizeofUcred)

// newReadySocket opens a socket with an abstract name: it needs no directory that the replica's
// user can enter, and disappears with this process, however that ends. All users of the machine may
// write to it, so the user of the sender is checked. It must be the replica's user, the
// supervisor's or root, all of whom could also kill the replica. The process ID is not checked,
// because a sender such as systemd-notify(1) has often ended before its message is read.
func newReadySocket(mark string, user uint32) (*readySocket, error) {
	name := "@supervisor-" + mark + tree.RandomID()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var setErr error
		err := c.Control(func(fd uintptr) {
			setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		})
		return errors.Join(err, setErr)
	}}
	conn, err := config.ListenPacket(context.Background(), "unixgram", name)
	if err != nil {
		return nil, err
	}
	n := &readySocket{conn: conn.(*net.UnixConn), name: name, ready: make(chan struct{}), cleanUp: func() {}}
	n.listen(func(credentials []byte) bool { return allowed(credentials, user) })
	return n, nil
}

// allowed reports whether a sender with these credentials may report that a replica of the given
// user is ready.
func allowed(credentials []byte, user uint32) bool {
	messages, err := unix.ParseSocketControlMessage(credentials)
	if err != nil || len(messages) != 1 || len(messages[0].Data) < unix.SizeofUcred {
		return false
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	return err == nil && (sender.Uid == user || sender.Uid == 0 || sender.Uid == uint32(os.Geteuid()))
}
