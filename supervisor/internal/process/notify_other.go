//go:build !linux

package process

import (
	"net"
	"os"
	"path/filepath"
)

const credentialsSize = 0

// newReadySocket opens a socket in a directory that only the replica's user and root can enter.
func newReadySocket(_ string, user uint32) (*readySocket, error) {
	dir, err := os.MkdirTemp("", "supervisor")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	n := &readySocket{conn: conn, name: name, ready: make(chan struct{}), cleanUp: func() { os.RemoveAll(dir) }}
	n.listen(func([]byte) bool { return true })
	if int(user) != os.Geteuid() {
		if err = os.Chown(name, int(user), -1); err == nil {
			err = os.Chown(dir, int(user), -1)
		}
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}
