package process

import (
	"bytes"
	"net"
	"sync"
)

// notifyVariable is the environment variable that names the socket for readiness reports, see
// sd_notify(3).
const notifyVariable = "NOTIFY_SOCKET"

// readySocket is the socket by which one incarnation reports that it is ready. Its name is random,
// and known to that incarnation only. A nil *readySocket is none.
type readySocket struct {
	conn    *net.UnixConn
	name    string
	ready   chan struct{} // closed at the first READY=1
	done    sync.WaitGroup
	cleanUp func()
}

// listen reads messages until close. It reads all of them, because senders block when the socket is
// full, and accepts READY=1 from allowed senders.
func (n *readySocket) listen(allowed func(credentials []byte) bool) {
	n.done.Go(func() {
		report := sync.OnceFunc(func() { close(n.ready) })
		message, credentials := make([]byte, 4096), make([]byte, credentialsSize)
		for {
			m, c, _, _, err := n.conn.ReadMsgUnix(message, credentials)
			if err != nil {
				return
			}
			if saysReady(message[:m]) && allowed(credentials[:c]) {
				report()
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

func (n *readySocket) address() string {
	if n == nil {
		return ""
	}
	return n.name
}

func (n *readySocket) reported() <-chan struct{} {
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
	n.cleanUp()
}
