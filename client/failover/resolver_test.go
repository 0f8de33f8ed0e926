package failover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// endpoints returns a resolver state with the replicas of the given names.
func endpoints(names string) resolver.State {
	var s resolver.State
	for _, n := range names {
		addr := resolver.Address{Addr: string(n) + ":1"}
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{addr}})
	}
	return s
}

// During the first attempt of a call the replicas change places, one leaves and one comes. The
// round continues with the replicas that were not tried.
func TestReplicasComeAndGoDuringACall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("abc"))
		c[0].handle = func(ctx context.Context) error {
			m.UpdateState(endpoints("dca"))
			return status.Error(codes.Unavailable, "no")
		}
		c[2].handle, c[3].handle = answer(codes.Unavailable), answer(codes.Unavailable)
		conn := c.connectTo(t, "test:///x", 3, failover.Policy{}, grpc.WithResolvers(m))
		attempts, _ := call(t.Context(), conn)
		got := map[string]int{}
		for _, a := range attempts {
			got[a.Replica]++
		}
		if len(attempts) != 3 || got["a:1"] != 1 || got["c:1"] != 1 || got["d:1"] != 1 {
			t.Errorf("got %q, want a, c and d once each", path(attempts))
		}
	})
}

// A replica that leaves the target during an attempt finishes that attempt, or refuses it
// unprocessed.
func TestReplicaLeavesUnderAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		var events []string
		hook := func(e failover.ReplicaEvent) { events = append(events, fmt.Sprint(e.Replica, " ", e.State)) }
		c[0].handle = func(context.Context) error { m.UpdateState(endpoints("b")); return nil }
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{OnReplica: hook}, grpc.WithResolvers(m))
		for range 2 {
			if attempts, err := call(t.Context(), conn); err != nil {
				t.Errorf("got %q, %v", path(attempts), err)
			}
		}
		conn.Close()
		synctest.Wait()
		for _, want := range []string{"a:1 connecting", "a:1 ready", "a:1 gone", "b:1 ready", "b:1 gone"} {
			if n := strings.Count(strings.Join(events, "\n"), want); n != 1 {
				t.Errorf("%q occurred %d times, want once: %q", want, n, events)
			}
		}
	})
}

func TestNoReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 0)
		m := manual.NewBuilderWithScheme("test")
		conn := c.client(t, "test:///x", failover.Policy{Rounds: 3, Pause: time.Second}, grpc.WithResolvers(m))

		// There is no result yet: the call waits for the resolver until its deadline.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := call(ctx, conn); !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("before the resolver's first result: %v", err)
		}
		m.CC().ReportError(errors.New("no such name"))
		_, err := call(t.Context(), conn)
		if !errors.Is(err, failover.ErrNoReplicas) || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no such name") {
			t.Errorf("after the resolver's error: %v", err)
		}
		m.UpdateState(resolver.State{})
		if _, err = call(t.Context(), conn); !errors.Is(err, failover.ErrNoReplicas) {
			t.Errorf("with an empty answer: %v", err)
		}
	})
}

// A result without an address is reported at once, to calls, streams and the resolver, which may
// resolve again.
func TestTargetThatResolvesToNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		state resolver.State
	}{
		{"no endpoint", resolver.State{}},
		{"an endpoint without addresses", resolver.State{Endpoints: []resolver.Endpoint{{}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				m := manual.NewBuilderWithScheme("test")
				m.InitialState(endpoints("a"))
				var reported error
				m.UpdateStateCallback = func(err error) { reported = err }
				conn := c.connectTo(t, "test:///x", 1, failover.Policy{}, grpc.WithResolvers(m))
				synctest.Wait()
				m.UpdateState(tc.state)
				synctest.Wait()
				if !errors.Is(reported, balancer.ErrBadResolverState) {
					t.Errorf("the resolver got %v, want %v", reported, balancer.ErrBadResolverState)
				}
				if got := conn.GetState(); got != connectivity.TransientFailure {
					t.Errorf("the connection is %v, want %v", got, connectivity.TransientFailure)
				}
				_, err := call(t.Context(), conn)
				for kind, err := range map[string]error{"call": err, "stream": watch(t.Context(), conn)} {
					if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "the target resolves to nothing") {
						t.Errorf("%s: got %v, want Unavailable, as the target resolves to nothing", kind, err)
					}
				}
				m.CC().ReportError(errors.New("no such name"))
				synctest.Wait()
				if _, err := call(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "no such name") {
					t.Errorf("after the resolver's error: got %v, want no such name in it", err)
				}
			})
		})
	}
}

// A call with rounds left does not fail because the target has no replica for a moment.
func TestMomentWithoutReplicasCostsARound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("a"))
		c[0].handle = func(context.Context) error {
			if c[0].served.Load() > 1 {
				return nil
			}
			m.UpdateState(resolver.State{})
			time.AfterFunc(time.Second, func() { m.UpdateState(endpoints("a")) })
			return status.Error(codes.Unavailable, "no")
		}
		conn := c.connectTo(t, "test:///x", 1, failover.Policy{Rounds: 3, Pause: 2 * time.Second}, grpc.WithResolvers(m))
		if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "a:1 failed sent, a:1 ok sent" {
			t.Errorf("got %q, %v, want success in the second round", path(attempts), err)
		}
	})
}

// A call that waits for ready survives an error of the resolver.
func TestResolverRecoversUnderACall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := manual.NewBuilderWithScheme("test")
		conn := c.client(t, "test:///x", failover.Policy{}, grpc.WithResolvers(m))
		conn.Connect()
		synctest.Wait()
		m.CC().ReportError(errors.New("no such name"))
		time.AfterFunc(time.Second, func() { m.UpdateState(endpoints("a")) })
		if attempts, err := call(t.Context(), conn, grpc.WaitForReady(true)); err != nil || path(attempts) != "a:1 ok sent" {
			t.Errorf("got %q, %v, want a:1 ok sent", path(attempts), err)
		}
	})
}

// An error of the resolver removes no replica.
func TestResolverErrorLeavesTheReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("a"))
		conn := c.connectTo(t, "test:///x", 1, failover.Policy{}, grpc.WithResolvers(m))
		m.CC().ReportError(errors.New("no such name"))
		synctest.Wait()
		if attempts, err := call(t.Context(), conn); path(attempts) != "a:1 ok sent" {
			t.Errorf("got %q, %v, want a:1 ok sent", path(attempts), err)
		}
	})
}

// Which endpoints are the same replica. Each replica is tried once in the only round of a call.
func TestIdentityOfAReplica(t *testing.T) {
	endpoint := func(addrs ...resolver.Address) resolver.Endpoint { return resolver.Endpoint{Addresses: addrs} }
	a := resolver.Address{Addr: "a:1"}
	for _, tc := range []struct {
		name      string
		endpoints []resolver.Endpoint
		want      []string // the replicas' addresses
	}{
		{"named twice", []resolver.Endpoint{endpoint(a), endpoint(a)}, []string{"a:1"}},
		{"addresses in another order", []resolver.Endpoint{endpoint(a, resolver.Address{Addr: "b:1"}), endpoint(resolver.Address{Addr: "b:1"}, a)}, []string{"a:1"}},
		{"an endpoint without addresses", []resolver.Endpoint{endpoint(), endpoint(a)}, []string{"a:1"}},
		{"another server name", []resolver.Endpoint{endpoint(a), endpoint(resolver.Address{Addr: "a:1", ServerName: "x"})},
			[]string{"a:1", "a:1"}},
		{"other attributes, as behind a proxy", []resolver.Endpoint{
			endpoint(a), endpoint(resolver.Address{Addr: "a:1", Attributes: attributes.New("connect", "x")})}, []string{"a:1", "a:1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c.crash()
				m := manual.NewBuilderWithScheme("test")
				m.InitialState(resolver.State{Endpoints: tc.endpoints})
				attempts, _ := call(t.Context(), c.connectTo(t, "test:///x", len(tc.want), failover.Policy{}, grpc.WithResolvers(m)))
				var got []string
				for _, a := range attempts {
					got = append(got, a.Replica)
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("tried %q, want %q", got, tc.want)
				}
			})
		})
	}
}

// countedConn decrements the count of connections when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// openConns is a dialer that counts the open connections of the cluster.
func (c cluster) openConns(open *atomic.Int64) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := c[addr[0]-'a'].dial(ctx)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return countedConn{conn, sync.OnceFunc(func() { open.Add(-1) })}, nil
	})
}

func TestReplicaThatLeavesLosesItsConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var open atomic.Int64
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		c.connectTo(t, "test:///x", 2, failover.Policy{}, grpc.WithResolvers(m), c.openConns(&open))
		m.UpdateState(endpoints("b"))
		synctest.Wait()
		if open.Load() != 1 {
			t.Errorf("%d connections to one replica, want 1", open.Load())
		}
	})
}

// A replica keeps its connection through an update that contains it, whatever the order. The order
// of its addresses matters for its next connection.
func TestUpdateKeepsConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		pair := func(x, y string) resolver.Endpoint {
			return resolver.Endpoint{Addresses: []resolver.Address{{Addr: x}, {Addr: y}}}
		}
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(resolver.State{Endpoints: append(endpoints("a").Endpoints, pair("b:1", "c:1"))})
		c.connectTo(t, "test:///x", 2, failover.Policy{}, grpc.WithResolvers(m))
		m.UpdateState(resolver.State{Endpoints: append([]resolver.Endpoint{pair("c:1", "b:1")}, endpoints("a").Endpoints...)})
		synctest.Wait()
		dialed := func(when string, want ...int64) {
			for i, r := range c {
				if n := r.dials.Load(); n != want[i] {
					t.Errorf("%s: %s was dialed %d times, want %d", when, r.addr, n, want[i])
				}
			}
		}
		dialed("after the update", 1, 1, 0)
		c[1].restart()
		time.Sleep(100 * time.Millisecond) // a few dial gaps
		synctest.Wait()
		dialed("after the loss", 1, 1, 1)
	})
}

// calledBy answers with success and records the authority of the request.
func calledBy(authority *string) func(context.Context) error {
	return func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		*authority = strings.Join(md.Get(":authority"), ", ")
		return nil
	}
}

// For TLS, each address of a static target is its own server name.
func TestStaticReplicaIsItsOwnAuthority(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin})
		for _, r := range c {
			var got string
			r.handle = calledBy(&got)
			if call(t.Context(), conn); got != r.addr {
				t.Errorf("%s is called by the authority %q", r.addr, got)
			}
		}
	})
}

// The same address with another server name is another replica: no call uses the old name.
func TestServerNameChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var got string
		c[0].handle = calledBy(&got)
		m := manual.NewBuilderWithScheme("test")
		var conn *failover.Client
		for _, want := range []string{"old", "new"} {
			addr := resolver.Address{Addr: "a:1", ServerName: want}
			m.UpdateState(resolver.State{Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{addr}}}})
			if conn == nil {
				conn = c.connectTo(t, "test:///x", 1, failover.Policy{}, grpc.WithResolvers(m))
			}
			if call(t.Context(), conn); got != want {
				t.Errorf("called by the authority %q, want %q", got, want)
			}
		}
	})
}
