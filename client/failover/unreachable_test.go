package failover_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// blackHole is a dial that never ends.
func blackHole(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// mute is a dial that succeeds, to a server that never says anything.
func mute(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		for buf := make([]byte, 1024); ; {
			if _, err := server.Read(buf); err != nil {
				return
			}
		}
	}()
	return client, nil
}

// refuseAfter returns a dial that fails after the given time.
func refuseAfter(after time.Duration) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
}

// dialing is a dialer of the cluster with special dials for some addresses, which it counts.
func (c cluster) dialing(n *atomic.Int64, others map[string]func(context.Context) (net.Conn, error)) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		if dial := others[addr]; dial != nil {
			n.Add(1)
			return dial(ctx)
		}
		return c[addr[0]-'a'].dial(ctx)
	})
}

// The first call of a client that is new or was idle takes as long as the fastest connection,
// whichever replica the order prefers. No attempt is reported for unreachable replicas, as none was
// made.
func TestFirstCallGoesToTheFirstConnection(t *testing.T) {
	const late = 20 * time.Millisecond // dial of the healthy replica
	for name, x := range map[string]func(context.Context) (net.Conn, error){"black hole": blackHole, "mute": mute} {
		for _, order := range []failover.Order{failover.OrderFirst, failover.OrderSticky, failover.OrderRoundRobin, failover.OrderRandom, failover.OrderLeastInFlight} {
			for _, p := range []failover.Policy{{}, {Timeout: time.Second}, {WhenDown: failover.WhenDownWait}, {MaxInFlight: 1}} {
				t.Run(fmt.Sprint(name, order, p.Timeout, p.WhenDown, p.MaxInFlight), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c := newCluster(t, 3)
						p.Order = order
						p.Idempotent = map[string]bool{}
						conn := c.client(t, c.target(), p, c.dialing(new(atomic.Int64), map[string]func(context.Context) (net.Conn, error){
							"a:1": x, "b:1": x, "c:1": func(ctx context.Context) (net.Conn, error) {
								time.Sleep(late)
								return c[2].dial(ctx)
							},
						}), grpc.WithIdleTimeout(time.Minute))
						for range 2 {
							for _, deadline := range []time.Duration{time.Hour, 10 * time.Second} {
								ctx, cancel := context.WithTimeout(t.Context(), deadline)
								start := time.Now()
								attempts, err := call(ctx, conn)
								if took := time.Since(start); err != nil || took > late || path(attempts) != "c:1 ok sent" {
									t.Errorf("got %q, %v after %v, want c:1 ok sent within %v", path(attempts), err, took, late)
								}
								start = time.Now()
								if err := watch(ctx, conn); status.Code(err) != codes.Unimplemented || time.Since(start) > late {
									t.Errorf("a stream: %v after %v, want c's answer within %v", err, time.Since(start), late)
								}
								cancel()
							}
							time.Sleep(time.Hour) // idle
						}
					})
				})
			}
		}
	}
}

// A call that has failed at all other replicas still waits for the one that is being dialed.
func TestCallWaitsForLastDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[1].handle = answer(codes.Unavailable)
		conn := c.client(t, c.target(), failover.Policy{}, c.dialing(new(atomic.Int64), map[string]func(context.Context) (net.Conn, error){
			"a:1": func(ctx context.Context) (net.Conn, error) {
				time.Sleep(time.Second)
				return c[0].dial(ctx)
			},
		}))
		attempts, err := call(t.Context(), conn)
		if err != nil || path(attempts) != "b:1 failed sent, a:1 ok sent" {
			t.Errorf("got %q, %v, want b:1 failed sent, a:1 ok sent", path(attempts), err)
		}
	})
}

// All calls that wait for an unreachable replica fail when its dial ends, however soon the next
// dial begins.
func TestCrowdWaitsForOneDial(t *testing.T) {
	const dialTime = 60 * time.Millisecond
	for _, p := range []failover.Policy{{}, {Redial: failover.Redial{Every: time.Millisecond}}} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 1)
			conn := c.client(t, c.target(), p, c.dialing(new(atomic.Int64), map[string]func(context.Context) (net.Conn, error){"a:1": refuseAfter(dialTime)}))
			for range 20 {
				var crowd sync.WaitGroup
				for range 100 {
					crowd.Go(func() {
						start := time.Now()
						_, err := call(t.Context(), conn)
						if took := time.Since(start); took > dialTime+time.Millisecond || !errors.Is(err, syscall.ECONNREFUSED) {
							t.Errorf("got %v after %v, want refused after at most %v", err, took, dialTime)
						}
					})
				}
				crowd.Wait()
				time.Sleep(17 * time.Millisecond)
			}
		})
	}
}

// A black hole costs a call no more than Redial.Timeout, even without a deadline.
func TestBlackHoleIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name    string
		dial    func(context.Context) (net.Conn, error)
		timeout time.Duration
		want    time.Duration
	}{
		{"nobody answers", blackHole, 0, 5 * time.Second},
		{"mute", mute, 0, 5 * time.Second},
		{"as the policy says", mute, 500 * time.Millisecond, 500 * time.Millisecond},
		{"long", mute, 15 * time.Second, 15 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				conn := c.client(t, c.target(), failover.Policy{Redial: failover.Redial{Timeout: tc.timeout}},
					c.dialing(new(atomic.Int64), map[string]func(context.Context) (net.Conn, error){"a:1": tc.dial}))
				var calls sync.WaitGroup
				for range 30 {
					calls.Go(func() {
						start := time.Now()
						_, err := call(t.Context(), conn)
						if took := time.Since(start); took > tc.want || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no connection within") {
							t.Errorf("got %v after %v, want no connection within %v", err, took, tc.want)
						}
					})
					time.Sleep(730 * time.Millisecond)
				}
				calls.Wait()
			})
		})
	}
}

// many returns a target of n addresses, and a dialer that refuses and records the time.
func many(n int, times *[]time.Time, dial func(addr string) error) (resolver.State, grpc.DialOption) {
	var mu sync.Mutex
	var s resolver.State
	for i := range n {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: fmt.Sprintf("r%d:1", i)}}})
	}
	return s, grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		*times = append(*times, time.Now())
		return nil, dial(addr)
	})
}

func refused(string) error { return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} }

// However many replicas are down and calls are made, a client makes at most 100 dials in any
// second, and each replica gets its share.
func TestDialsOfAllReplicasAreBounded(t *testing.T) {
	for _, tc := range []struct {
		name  string
		n     int
		most  int
		every time.Duration // between calls
		p     failover.Policy
	}{
		{"300 and few calls", 300, 100, time.Second, failover.Policy{}},
		{"150 and many calls", 150, 100, 100 * time.Millisecond, failover.Policy{}},
		{"150 that are waited for", 150, 100, 100 * time.Millisecond, failover.Policy{WhenDown: failover.WhenDownWait}},
		{"a few", 5, 100, 10 * time.Millisecond, failover.Policy{}},
		{"as the policy says", 30, 7, 10 * time.Millisecond, failover.Policy{Redial: failover.Redial{PerSecond: 7}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if raced && tc.n > 100 {
				t.Skip("takes a minute with the race detector, for which the smaller cases suffice")
			}
			bubble(t, func(t *testing.T) {
				var times []time.Time
				dialed := map[string]int{}
				state, dialer := many(tc.n, &times, func(addr string) error { dialed[addr]++; return refused(addr) })
				m := manual.NewBuilderWithScheme("test")
				m.InitialState(state)
				conn, err := failover.NewClient("test:///x", tc.p, dialer, grpc.WithResolvers(m), grpc.WithTransportCredentials(insecure.NewCredentials()))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var calls sync.WaitGroup
				for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(tc.every) {
					calls.Go(func() { call(ctx, conn) })
				}
				conn.Close()
				cancel()
				calls.Wait()
				synctest.Wait()
				for i := tc.most; i < len(times); i++ {
					if gap := times[i].Sub(times[i-tc.most]); gap < time.Second {
						t.Fatalf("%d dials in %v", tc.most+1, gap)
					}
				}
				if n := len(times); n < tc.most*20 {
					t.Errorf("%d dials in 30s, want close to %d a second", n, tc.most)
				}
				for _, r := range state.Endpoints {
					if n, fair := dialed[r.Addresses[0].Addr], len(times)/tc.n; n < fair/2 {
						t.Errorf("%s was dialed %d times, want about %d", r.Addresses[0].Addr, n, fair)
					}
				}
			})
		})
	}
}

// A client of many healthy replicas connects to all of them at once.
func TestManyReplicasConnectAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var state resolver.State
		const n = 350
		for i := range n {
			state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: fmt.Sprintf("r%d:1", i)}}})
		}
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(state)
		var ready atomic.Int64
		start := time.Now()
		conn := c.client(t, "test:///x", failover.Policy{OnReplica: func(e failover.ReplicaEvent) {
			if e.State == failover.ReplicaReady {
				ready.Add(1)
			}
		}}, grpc.WithResolvers(m), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c[0].dial(ctx) }))
		conn.Connect()
		for time.Sleep(time.Millisecond); ready.Load() < n && time.Since(start) < long; time.Sleep(time.Millisecond) {
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("all are ready after %v, want at once", took)
		}
	})
}

// A replica with a bad certificate is dialed in growing gaps, whether calls are served elsewhere or
// fail. It is used again when it has a good one.
func TestLastingFailureIsDialedSeldom(t *testing.T) {
	for _, tc := range []struct {
		name string
		cert func(ca *authority) tls.Certificate
	}{
		{"of another host", func(ca *authority) tls.Certificate { return ca.issue("other.test") }},
		{"of another authority", func(ca *authority) tls.Certificate { return newAuthority(ca.t).issue("a.test") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ca, s := newAuthority(t), secured{}
				var handshakes atomic.Int64
				var good atomic.Bool
				bad, well := tc.cert(ca), ca.issue("a.test")
				s.serve(t, "a.test:443", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
					handshakes.Add(1)
					if good.Load() {
						return &well, nil
					}
					return &bad, nil
				}}, nil)
				conn := s.connect(t, "static:///a.test:443", failover.Policy{}, &tls.Config{RootCAs: ca.pool})
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					if attempts, err := call(t.Context(), conn); err == nil {
						t.Fatalf("%q", path(attempts))
					}
				}
				if n := handshakes.Load(); n < 3 || n > 8 {
					t.Errorf("%d handshakes in 10s, want about the 5 of gRPC's backoff", n)
				}
				good.Store(true)
				start := time.Now()
				for err := errors.New(""); err != nil && time.Since(start) < time.Minute; time.Sleep(10 * time.Millisecond) {
					_, err = call(t.Context(), conn)
				}
				if took := time.Since(start); took > 36*time.Second {
					t.Errorf("used again %v after it had a good certificate, want at most 36s", took)
				}
			})
		})
	}
}

// The same holds for an address that speaks another protocol, and for a name that does not exist.
func TestOtherLastingFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		dial func(context.Context) (net.Conn, error)
	}{
		{"no such host", func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}}
		}},
		{"another protocol", func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				server.Read(make([]byte, 1024))
				go io.Copy(io.Discard, server)
				time.Sleep(time.Millisecond)
				server.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
				server.Close()
			}()
			return client, nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				var n atomic.Int64
				conn := c.client(t, c.target(), failover.Policy{}, c.dialing(&n, map[string]func(context.Context) (net.Conn, error){"a:1": tc.dial}))
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					call(t.Context(), conn)
				}
				if got := n.Load(); got < 3 || got > 14 { // every second one only checks that something listens
					t.Errorf("%d dials in 10s, want about 10", got)
				}
			})
		})
	}
}
