package failover_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// However long a replica was down, calls have it back within one gap between dials of its listening again.
func TestReplicaIsBackAtOnce(t *testing.T) {
	for _, down := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				conn := c.connect(t, failover.Policy{})
				c[0].crash()
				dials := c[0].dials.Load()
				callFor(t, conn, down, 10*time.Millisecond)
				if n := c[0].dials.Load() - dials; n > int64(50*down/time.Second) || n < 10 {
					t.Errorf("%d dials in %v, want 10 to 50 a second", n, down)
				}
				c[0].start()
				back := time.Now()
				for c[0].served.Load() == 0 {
					callFor(t, conn, time.Millisecond, time.Millisecond)
				}
				if took := time.Since(back); took > 31*time.Millisecond {
					t.Errorf("served its first call %v after it listened again", took)
				}
			})
		})
	}
}

// callFor makes calls for a time, with a wait between them.
func callFor(t *testing.T, conn *grpc.ClientConn, d, wait time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(wait) {
		if attempts, err := call(t.Context(), conn); err != nil {
			t.Fatalf("%s: %v", path(attempts), err)
		}
	}
}

// Without calls a replica that is down is left alone, and yet the first call after a long silence finds it well.
func TestSilenceThenOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{})
		if _, err := call(t.Context(), conn); status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v, want Unavailable", err)
		}
		time.Sleep(2 * time.Second)
		dials := c[0].dials.Load()
		time.Sleep(10 * time.Minute)
		if n := c[0].dials.Load() - dials; n > 600 {
			t.Errorf("%d dials in ten minutes without a call, want at most one a second", n)
		}
		c[0].start()
		if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "a:1 ok sent" {
			t.Errorf("got %q, %v: want success at the first attempt", path(attempts), err)
		}
	})
}

// A server that accepts connections and hangs up does not make the client spin.
func TestHangingUpIsNoHotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{})
		begin := time.Now()
		hangUp := time.NewTicker(time.Millisecond)
		defer hangUp.Stop()
		for range 1000 {
			<-hangUp.C
			c[0].restart()
			if _, err := call(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		if n, took := c[0].dials.Load(), time.Since(begin); float64(n) > 1+50*took.Seconds() {
			t.Errorf("%d dials in %v, want at most 50 a second", n, took)
		}
	})
}

func TestIdleConnectionComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{}, grpc.WithIdleTimeout(time.Minute))
		for range 3 {
			if attempts, err := call(t.Context(), conn); err != nil || len(attempts) != 1 {
				t.Fatalf("got %q, %v", path(attempts), err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// A pause longer than the idle timeout: the replicas that the call knows are gone and there again.
func TestIdleInTheMiddleOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.crash()
		conn := c.connect(t, failover.Policy{Rounds: 2, Pause: time.Hour}, grpc.WithIdleTimeout(time.Minute))
		time.AfterFunc(time.Minute, c[1].start)
		attempts, err := call(t.Context(), conn)
		if err != nil || !strings.HasPrefix(path(attempts), "a:1 refused, b:1 refused, ") || !strings.HasSuffix(path(attempts), "b:1 ok sent") {
			t.Errorf("got %q, %v", path(attempts), err)
		}
	})
}

// endpoints is a resolver state with the replicas of these names.
func endpoints(names string) resolver.State {
	var s resolver.State
	for _, n := range names {
		addr := resolver.Address{Addr: string(n) + ":1"}
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{addr}})
	}
	return s
}

// While a call is at its first attempt, the replicas change places, one leaves and one comes: the round goes on by
// identity.
func TestReplicasComeAndGoDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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

// A replica that leaves the target while an attempt is at it finishes that attempt, or gives it back as unsent.
func TestReplicaLeavesUnderAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
				t.Errorf("%q told %d times, want once: %q", want, n, events)
			}
		}
	})
}

func TestNoReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 0)
		m := manual.NewBuilderWithScheme("test")
		conn, err := failover.NewClient("test:///x", failover.Policy{Rounds: 3, Pause: time.Second}, append(c.options(), grpc.WithResolvers(m))...)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()

		// The resolver has not spoken: the call waits for it, as long as the caller does.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := call(ctx, conn); !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("before the resolver's word: %v", err)
		}
		m.CC().ReportError(errors.New("no such name"))
		_, err = call(t.Context(), conn)
		if !errors.Is(err, failover.ErrNoReplicas) || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no such name") {
			t.Errorf("after the resolver's error: %v", err)
		}
		m.UpdateState(resolver.State{})
		if _, err = call(t.Context(), conn); !errors.Is(err, failover.ErrNoReplicas) {
			t.Errorf("with an empty answer: %v", err)
		}
	})
}

func TestClosedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := manual.NewBuilderWithScheme("test")
		conn, err := failover.NewClient("test:///x", failover.Policy{Rounds: 3, Pause: time.Second}, append(c.options(), grpc.WithResolvers(m))...)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { conn.Close() })
		for range 2 { // once closed while the call waits for the resolver, once before the call
			if _, err := call(t.Context(), conn); status.Code(err) != codes.Canceled {
				t.Errorf("got %v, want Canceled", err)
			}
		}
	})
}

func TestNewClientRefuses(t *testing.T) {
	reused, err := failover.DialOptions(failover.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 1)
	conn, err := grpc.NewClient(c.target(), append(c.options(), reused...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := call(t.Context(), conn); err != nil {
		t.Errorf("DialOptions by themselves: %v", err)
	}

	for _, tc := range []struct {
		name   string
		target string
		policy failover.Policy
		opts   []grpc.DialOption
		want   string
	}{
		{name: "no target", target: "", want: `target "": want a gRPC target such as`},
		{name: "empty list", target: "static:///", want: "names no replica"},
		{name: "no list", target: "static:", want: "names no replica"},
		{name: "two slashes", target: "static://a:1", want: "want three slashes: static:///a:1"},
		{name: "no port", target: "static:///a:1,b", want: `replica "b": want HOST:PORT`},
		{name: "no host", target: "static:///:1", want: `replica ":1": want HOST:PORT`},
		{name: "port too large", target: "static:///a:65536", want: `port "65536": want 1 to 65535`},
		{name: "port zero", target: "static:///a:0", want: `port "0": want 1 to 65535`},
		{name: "twice", target: "static:///a:1,b:1,a:1", want: `replica "a:1" is listed twice`},
		{name: "empty element", target: "static:///a:1,,b:1", want: `replica "": want HOST:PORT`},
		{name: "negative timeout", policy: failover.Policy{Timeout: -1}, want: "Policy.Timeout -1ns: want 0 or more"},
		{name: "negative rounds", policy: failover.Policy{Rounds: -1}, want: "Policy.Rounds -1: want 0 or more"},
		{name: "negative pause", policy: failover.Policy{Pause: -1}, want: "Policy.Pause -1ns: want 0 or more"},
		{name: "order", policy: failover.Policy{Order: 7}, want: "Policy.Order 7: want First or RoundRobin"},
		{name: "retryable", policy: failover.Policy{Retryable: []codes.Code{codes.OK}}, want: "Policy.Retryable has OK"},
		{name: "config is no JSON", policy: failover.Policy{ServiceConfig: "{"}, want: "Policy.ServiceConfig: unexpected end"},
		{name: "config balances", policy: failover.Policy{ServiceConfig: `{"loadBalancingConfig":[{"pick_first":{}}]}`}, want: "has a loadBalancingConfig"},
		{name: "config among the options", opts: []grpc.DialOption{grpc.WithDefaultServiceConfig(`{}`)}, want: "give it in Policy.ServiceConfig"},
		{name: "options used twice", opts: reused, want: "call DialOptions once for each"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.target == "" && tc.name != "no target" {
				tc.target = "static:///a:1"
			}
			conn, err := failover.NewClient(tc.target, tc.policy, append(c.options(), tc.opts...)...)
			if err == nil {
				conn.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, tc.want)
			}
		})
	}
}

// A method's settings from Policy.ServiceConfig are in force; its retryPolicy is not.
func TestServiceConfigOfTheUser(t *testing.T) {
	c := newCluster(t, 1)
	c[0].handle = answer(codes.Unavailable)
	conn := c.connect(t, failover.Policy{ServiceConfig: `{"methodConfig":[{"name":[{}],"maxRequestMessageBytes":0,
		"retryPolicy":{"maxAttempts":5,"initialBackoff":"0.001s","maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`})
	if attempts, _ := call(t.Context(), conn); len(attempts) != 1 || c[0].served.Load() != 1 {
		t.Errorf("%d attempts, %d requests, want one of each", len(attempts), c[0].served.Load())
	}
}
