package failover_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
)

// cable connects a client with one replica. While it is cut, dials hang. What was connected when it
// was cut stays silent forever, as TCP may for minutes.
type cable struct {
	mu    sync.Mutex
	isCut bool
	conns []*cabled
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for _, conn := range c.conns {
		close(conn.silent)
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = false
}

func (c *cable) dial(ctx context.Context, r *replica) (net.Conn, error) {
	c.mu.Lock()
	isCut := c.isCut
	c.mu.Unlock()
	if isCut {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	x := &cabled{Conn: conn, silent: make(chan struct{}), closed: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, x)
	return x, nil
}

// cabled is a connection by cable.
type cabled struct {
	net.Conn
	silent, closed chan struct{}
	closing        sync.Once
}

func (c *cabled) Write(p []byte) (int, error) {
	select {
	case <-c.silent:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}

func (c *cabled) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.silent:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *cabled) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// connectByCable is connect with a cable to the first replica.
func (c cluster) connectByCable(t *testing.T, p failover.Policy) (*failover.Client, *cable) {
	t.Helper()
	toFirst := new(cable)
	conn := c.connect(t, p, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		r := c[addr[0]-'a']
		if r == c[0] {
			return toFirst.dial(ctx, r)
		}
		return r.dial(ctx)
	}))
	return conn, toFirst
}

// When a network that dropped everything works again, the replica behind it is used within the time
// of a dial and a probe, however long it took, although its old connection stays silent. If there
// were no calls meanwhile, the first one may be a trial by the old connection.
func TestSilentConnectionIsReplaced(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Second, time.Minute, time.Hour} {
		for _, every := range []time.Duration{time.Second, outage} {
			t.Run(fmt.Sprintf("%v, a call every %v", outage, every), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c, _ := newWork(t, 3)
					conn, toFirst := c.connectByCable(t, failover.Policy{Timeout: time.Second})
					wantPath(t, conn, "a:1 ok sent")
					toFirst.cut()
					for range 3 {
						wantPath(t, conn, "a:1 timeout sent, b:1 ok sent")
					}
					for left := outage; left > 0; left -= every {
						time.Sleep(every)
						if left == every {
							toFirst.mend()
						}
						wantOK(t, conn)
					}
					time.Sleep(6 * time.Second) // the dial that hangs is given up after 5 s; a probe takes 500 ms
					synctest.Wait()
					wantPath(t, conn, "a:1 ok sent")
					if r := conn.Statistics().Replicas[0]; r.Ejected {
						t.Errorf("%+v, want it reinstated", r)
					}
				})
			})
		}
	}
}

// A replica that accepts connections but answers nothing gets a new one once a minute at most.
func TestHungReplicaIsRarelyReconnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		conn := c.connect(t, failover.Policy{Timeout: time.Second})
		wantPath(t, conn, "a:1 ok sent")
		works[0].does(hang)
		c[0].handle = hang
		const minutes = 10
		for end := time.Now().Add(minutes * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
			if _, err := do(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		if n := c[0].dials.Load() - 1; n < 1 || n > minutes {
			t.Errorf("%d new connections in %d minutes, want 1 to %d", n, minutes, minutes)
		}
	})
}

// Calls in flight on the old connection are not lost when it is replaced.
func TestCallsOutliveTheirConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		running := make(gate)
		conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{After: 1}})
		works[0].does(running.pass)
		c[0].handle = running.pass
		var calls sync.WaitGroup
		calls.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		synctest.Wait()
		doFor(t, conn, 3, time.Second)
		if !conn.Statistics().Replicas[0].Ejected {
			t.Fatal("it is not ejected")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := c[0].dials.Load(); n != 2 {
			t.Errorf("dialed %d times, want 2", n)
		}
		close(running)
		calls.Wait()
		wantPath(t, conn, "a:1 ok sent")
	})
}

// A renewal ends with its replica, and with the client.
func TestRenewalEndsWithTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := newWork(t, 2)
		conn, toFirst := c.connectByCable(t, failover.Policy{Timeout: time.Second})
		toFirst.cut()
		for range 3 {
			wantPath(t, conn, "a:1 timeout sent, b:1 ok sent")
		}
		time.Sleep(2 * time.Second) // a renewal is under way
		conn.Close()
		// The bubble ends only when all goroutines have.
	})
}
