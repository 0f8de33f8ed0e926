package process

import (
	"bytes"
	"net"
	"sync"
)

// notifyVariable names the socket at which a process says that it is ready, as
// sd_notify(3) has it.
const notifyVariable = "NOTIFY_SOCKET"

// readySocket is the socket of one incarnation with a ProbeNotify. Its name is
// random, and told to that incarnation alone.
type readySocket struct {
	conn  *net.UnixConn
	name  string
	ready chan struct{} // closed when the process has said READY=1
	done  sync.WaitGroup
	tidy  func()
}

// listen reads messages until close. All are read, as who writes to a full
// socket blocks. The one that counts is taken from senders that are allowed.
func (n *readySocket) listen(allowed func(credentials []byte) bool) {
	n.done.Go(func() {
		told := sync.OnceFunc(func() { close(n.ready) })
		message, credentials := make([]byte, 4096), make([]byte, credentialsSize)
		for {
			m, c, _, _, err := n.conn.ReadMsgUnix(message, credentials)
			if err != nil {
				return
			}
			if saysReady(message[:m]) && allowed(credentials[:c]) {
				told()
			}
		}
	})
}

func saysReady(message []byte) bool {
	for line := range bytes.Lines(message) {
		if string(bytes.TrimSuffix(line, []byte{'\n'})) == "READY=1" {
			return true
		}
	}
	return false
}

// A nil readySocket is none.

func (n *readySocket) address() string {
	if n == nil {
		return ""
	}
	return n.name
}

func (n *readySocket) said() <-chan struct{} {
	if n == nil {
		return nil
	}
	return n.ready
}

func (n *readySocket) close() {
	if n == nil {
		return
	}
	n.conn.Close()
	n.done.Wait()
	n.tidy()
}
