package control

import (
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const leastConnections, mostConnections = 4, 1000

// LimitConnections returns a listener that limits the number of open connections, so that clients
// cannot use up the file descriptors that replicas need. The limit is an eighth of this process's
// limit on descriptors, but at least 4 and at most 1,000. For each connection beyond it, the
// listener closes the oldest connection from which nothing has been received, or else the one that
// was neither read nor written for the longest time. That may be a stream that has had nothing to
// send.
func LimitConnections(l net.Listener) net.Listener {
	most := uint64(mostConnections)
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		most = min(most, max(leastConnections, uint64(limit.Cur)/8))
	}
	return &limited{Listener: l, most: int(most), open: make(map[*limitedConn]bool)}
}

// limited is a listener with a limited number of open connections.
type limited struct {
	net.Listener
	most int
	uses atomic.Uint64 // counts reads and writes

	mu   sync.Mutex
	open map[*limitedConn]bool
}

func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &limitedConn{Conn: conn, listener: l}
	c.use()
	if idlest := l.add(c); idlest != nil {
		idlest.Close()
	}
	return c, nil
}

// add adds a connection, and returns the one to close for it, or nil.
func (l *limited) add(c *limitedConn) (idlest *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most {
		for other := range l.open {
			if idlest == nil || other.idlerThan(idlest) {
				idlest = other
			}
		}
	}
	l.open[c] = true
	return idlest
}

func (l *limited) forget(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// limitedConn is a connection that records its use.
type limitedConn struct {
	net.Conn
	listener *limited
	heard    atomic.Bool   // whether anything was received
	used     atomic.Uint64 // value of uses at the latest read or write
}

func (c *limitedConn) use() { c.used.Store(c.listener.uses.Add(1)) }

func (c *limitedConn) idlerThan(other *limitedConn) bool {
	if heard := c.heard.Load(); heard != other.heard.Load() {
		return !heard
	}
	return c.used.Load() < other.used.Load()
}

func (c *limitedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(true)
		c.use()
	}
	return n, err
}

func (c *limitedConn) Write(b []byte) (int, error) {
	c.use()
	return c.Conn.Write(b)
}

func (c *limitedConn) Close() error {
	c.listener.forget(c)
	return c.Conn.Close()
}
