package failover_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

func TestIdleConnectionComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
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

// During a pause longer than the idle timeout, the replicas of the call disappear and come back.
func TestIdleInTheMiddleOfACall(t *testing.T) {
	bubble(t, func(t *testing.T) {
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

// A call ends when the connection is closed, whatever it is waiting for.
func TestClosedConnectionEndsACall(t *testing.T) {
	for _, tc := range []struct {
		name    string
		target  string
		connect func(*failover.Client)
	}{
		{"waiting for the resolver", "test:///x", func(*failover.Client) {}},
		{"in a pause", "static:///a:1", func(c *failover.Client) { c.Connect() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c.crash()
				conn := c.client(t, tc.target, failover.Policy{Rounds: 2, Pause: time.Hour}, grpc.WithResolvers(manual.NewBuilderWithScheme("test")))
				tc.connect(conn)
				start := time.Now()
				time.AfterFunc(time.Second, func() { conn.Close() })
				for range 2 { // closed once during the call, once before it
					if _, err := call(t.Context(), conn); status.Code(err) != codes.Canceled {
						t.Errorf("got %v, want Canceled", err)
					}
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("the calls ended after %v, want as the connection was closed after 1s", took)
				}
			})
		})
	}
}

// The state of the connection is the best state of its replicas.
func TestConnectionStateIsThatOfBestReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{})
		for i, want := range []connectivity.State{connectivity.Ready, connectivity.TransientFailure} {
			c[i].crash()
			time.Sleep(100 * time.Millisecond) // a few dials that fail
			synctest.Wait()
			if got := conn.GetState(); got != want {
				t.Errorf("with %d of 2 replicas down: got %v, want %v", i+1, got, want)
			}
		}
	})
}

// A lost connection is replaced at once if something is listening. Repeated dial failures are one
// event.
func TestEventsOfAReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var events []string
		start := time.Now()
		conn := c.connect(t, failover.Policy{OnReplica: func(e failover.ReplicaEvent) {
			events = append(events, fmt.Sprint(e.Replica, " ", e.State, " ", time.Since(start)))
		}})
		time.Sleep(time.Second)
		old := c[0].server
		c[0].start() // the next incarnation listens before the connections of the last one end
		old.Stop()
		time.Sleep(time.Second)
		c[0].crash()
		for range 100 {
			call(t.Context(), conn)
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		want := []string{"a:1 connecting 0s", "a:1 ready 0s", "a:1 connecting 1s", "a:1 ready 1s", "a:1 connecting 2s", "a:1 down 2s"}
		if !slices.Equal(events, want) {
			t.Errorf("got  %q\nwant %q", events, want)
		}
	})
}
