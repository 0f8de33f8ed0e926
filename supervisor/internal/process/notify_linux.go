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

// credentialsSize has room for a sender's credentials and nothing else: what
// descriptors a message brings are closed by the kernel.
var credentialsSize = unix.CmsgSpace(unix.SizeofUcred)

// newReadySocket opens a socket with an abstract name: it needs no directory that
// the replica's user can enter, and it is gone with this process, however that
// ends. All users of the machine may write to it, so senders are told by their
// user: it must be the replica's, ours or root, who could end the replica as
// well. Nothing is asked of the sender's process ID: a sender such as
// systemd-notify(1) has often ended before its message is read.
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
	n := &readySocket{conn: conn.(*net.UnixConn), name: name, ready: make(chan struct{}), tidy: func() {}}
	n.listen(func(credentials []byte) bool { return allowed(credentials, user) })
	return n, nil
}

// allowed reports whether a message with these credentials was sent by a user
// who may speak for a replica that runs as another, or the same.
func allowed(credentials []byte, user uint32) bool {
	messages, err := unix.ParseSocketControlMessage(credentials)
	if err != nil || len(messages) != 1 || len(messages[0].Data) < unix.SizeofUcred {
		return false
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	return err == nil && (sender.Uid == user || sender.Uid == 0 || sender.Uid == uint32(os.Geteuid()))
}
