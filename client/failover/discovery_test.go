package failover_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// repeatable is the policy for calls that may be executed more than once.
func repeatable(p failover.Policy) failover.Policy {
	p.Idempotent = map[string]bool{"/": true}
	return p
}

// asked is a resolver for targets such as asked:///abc. It records when it is asked to resolve
// again.
type asked struct {
	mu    sync.Mutex
	times []time.Time
}

var theAsked = new(asked)

func init() { resolver.Register(theAsked) }

func (*asked) Scheme() string { return "asked" }

func (a *asked) Build(t resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	cc.UpdateState(endpoints(t.Endpoint()))
	return a, nil
}

func (a *asked) ResolveNow(resolver.ResolveNowOptions) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Now())
}

func (*asked) Close() {}

// since returns the times at which the resolver was asked, relative to then, and clears them.
func (a *asked) since(then time.Time) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var after []time.Duration
	for _, at := range a.times {
		if !at.Before(then) {
			after = append(after, at.Sub(then))
		}
	}
	a.times = nil
	return after
}

// When a replica is lost, the resolver is asked at once. After that it is asked at most once a
// second, however many replicas are down and however often they are dialed.
func TestResolverIsAskedWhenAReplicaIsLost(t *testing.T) {
	const downtime = 10 * time.Second
	for _, tc := range []struct {
		name  string
		lost  string
		every time.Duration // between calls
		least int           // how often the resolver is asked in the downtime
	}{
		{"one of two, under calls", "a", 100 * time.Millisecond, 8},
		{"both, under calls", "ab", 100 * time.Millisecond, 8},
		{"one of two, without calls", "a", downtime, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				conn := c.connectTo(t, "asked:///ab", 2, repeatable(failover.Policy{}))
				time.Sleep(time.Minute)
				lost := time.Now()
				for _, name := range tc.lost {
					c[name-'a'].crash()
				}
				for time.Since(lost) < downtime {
					call(t.Context(), conn)
					time.Sleep(tc.every)
				}
				synctest.Wait()
				times := theAsked.since(lost)
				if len(times) < tc.least || times[0] != 0 {
					t.Fatalf("asked at %v, want at once, and %d times at least", times, tc.least)
				}
				for i := 1; i < len(times); i++ {
					if gap := times[i] - times[i-1]; gap < time.Second {
						t.Errorf("asked again after %v, want a second at least", gap)
					}
				}
			})
		})
	}
}

// However long all replicas were down, a call is served within one dial gap of their listening
// again.
func TestAllReplicasAreBackWithinOneDialGap(t *testing.T) {
	const tick = 100 * time.Microsecond
	for _, tc := range []struct {
		down  time.Duration
		often int
	}{{500 * time.Millisecond, 3}, {3 * time.Second, 2}, {30 * time.Second, 1}} {
		t.Run(tc.down.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				conn := c.connect(t, repeatable(failover.Policy{}))
				var took []time.Duration
				for range times(tc.often) {
					c.crash()
					for end := time.Now().Add(tc.down); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
						if _, err := call(t.Context(), conn); status.Code(err) != codes.Unavailable {
							t.Fatalf("got %v of a replica that is down", err)
						}
					}
					c[0].start()
					back := time.Now()
					for err := error(status.Error(codes.Unavailable, "")); err != nil; _, err = call(t.Context(), conn) {
						time.Sleep(tick)
					}
					took = append(took, time.Since(back))
				}
				slices.Sort(took)
				if longest := took[len(took)-1]; longest > 30*time.Millisecond+tick {
					t.Errorf("served after %v, want 30ms at most", took)
				}
			})
		})
	}
}

// callers makes calls in 16 goroutines until it is stopped. None may fail.
func callers(t *testing.T, conn grpc.ClientConnInterface, each func([]failover.Attempt)) (stop func()) {
	t.Helper()
	var calls, failed atomic.Int64
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 16 {
		all.Go(func() {
			for ctx.Err() == nil {
				attempts, err := call(t.Context(), conn)
				calls.Add(1)
				if err != nil && failed.Add(1) <= 3 {
					t.Errorf("%q: %v", path(attempts), err)
				}
				each(attempts)
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
		if n := failed.Load(); n > 0 || calls.Load() == 0 {
			t.Errorf("%d of %d calls failed", n, calls.Load())
		}
	})
	t.Cleanup(stop)
	return stop
}

// Replicas come and go in any number and order while calls are made, sometimes all at once. No call
// fails, a replica that leaves finishes its requests, and every replica of the last update is
// called in the end.
func TestScalingLosesNoCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const names = "abcdef"
		c := newCluster(t, len(names))
		for _, r := range c {
			r.handle = func(context.Context) error { time.Sleep(time.Millisecond); return nil }
		}
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		conn := c.connectTo(t, "test:///x", 2, repeatable(failover.Policy{Rounds: 3, Order: failover.OrderRoundRobin}), grpc.WithResolvers(m))
		var lost atomic.Int64
		stop := callers(t, conn, func(attempts []failover.Attempt) {
			for _, a := range attempts {
				if a.Outcome != failover.OutcomeOK && a.Sent {
					lost.Add(1)
				}
			}
		})
		for range times(25) {
			time.Sleep(rand.N(5 * time.Millisecond))
			some := []byte(names)
			rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			m.UpdateState(endpoints(string(some[:1+rand.N(len(some))])))
		}
		m.UpdateState(endpoints(names))
		var before []int64
		for _, r := range c {
			before = append(before, r.served.Load())
		}
		time.Sleep(20 * time.Millisecond)
		stop()
		for i, r := range c {
			if r.served.Load() == before[i] {
				t.Errorf("%s is never called after it came for good", r.addr)
			}
		}
		if n := lost.Load(); n > 0 {
			t.Errorf("%d attempts were lost at replicas that left", n)
		}
	})
}

// All replicas are replaced during an attempt: the call succeeds there or fails over to the new
// ones.
func TestReplicasReplacedDuringACall(t *testing.T) {
	for _, tc := range []struct {
		ends codes.Code
		want string
	}{
		{codes.OK, "a:1 ok sent"},
		{codes.Unavailable, "a:1 failed sent, c:1 ok sent"},
	} {
		t.Run(fmt.Sprint(tc.ends), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 4)
				var open atomic.Int64
				m := manual.NewBuilderWithScheme("test")
				m.InitialState(endpoints("ab"))
				conn := c.connectTo(t, "test:///x", 2, repeatable(failover.Policy{}), grpc.WithResolvers(m), c.openConns(&open))
				c[0].handle = func(context.Context) error {
					m.UpdateState(endpoints("cd"))
					time.Sleep(time.Minute)
					if n := open.Load(); n != 3 {
						t.Errorf("%d connections under the call, want those to a, c and d", n)
					}
					return status.Error(tc.ends, "")
				}
				if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != tc.want {
					t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
				}
				synctest.Wait()
				if n := open.Load(); n != 2 {
					t.Errorf("%d connections after it, want those to c and d", n)
				}
			})
		})
	}
}

// If a replica leaves while a call waits for its connection, the call fails over.
func TestReplicaLeavesWhileItIsDialed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("a"))
		conn := c.client(t, "test:///x", repeatable(failover.Policy{}), grpc.WithResolvers(m),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				if addr == "b:1" {
					return c[1].dial(ctx)
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}))
		time.AfterFunc(time.Second, func() { m.UpdateState(endpoints("b")) })
		if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "a:1 refused, b:1 ok sent" {
			t.Errorf("got %q, %v, want a:1 refused, b:1 ok sent", path(attempts), err)
		}
	})
}

// With SameHost, the addresses of one host form one replica.
func TestSameHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.crash()
		m := manual.NewBuilderWithScheme("test")
		var state resolver.State
		for _, addr := range []string{"a:1", "b:1", "a:2", "b:2"} {
			state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr}}})
		}
		m.InitialState(state)
		var dialed []string
		var mu sync.Mutex
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{SameHost: func(addr string) string { return addr[:1] }}, grpc.WithResolvers(m),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dialed = append(dialed, addr)
				return c[addr[0]-'a'].dial(ctx)
			}))
		attempts, _ := call(t.Context(), conn)
		if path(attempts) != "a:1 refused, b:1 refused" {
			t.Errorf("got %q, want one attempt for each host", path(attempts))
		}
		for _, ep := range state.Endpoints {
			if !slices.Contains(dialed, ep.Addresses[0].Addr) {
				t.Errorf("%s was not dialed: %q", ep.Addresses[0].Addr, dialed)
			}
		}
		c[1].start()
		time.Sleep(100 * time.Millisecond)
		if attempts, err := call(t.Context(), conn); err != nil {
			t.Errorf("got %q, %v, want success at b", path(attempts), err)
		}
	})
}
