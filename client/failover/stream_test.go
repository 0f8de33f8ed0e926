package failover_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestStreamsReachAReadyReplica(t *testing.T) {
	c := newCluster(t, 2)
	c[0].crash()
	if err := watch(t.Context(), c.connect(t, failover.Policy{}), grpc.WaitForReady(true)); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v, want the answer of a replica that does not implement it", err)
	}
}

func TestStreamsAreSharedAmongTheReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin})
		for range 10 {
			watch(t.Context(), conn)
		}
		for _, r := range c {
			if n := r.streams.Load(); n != 5 {
				t.Errorf("%s got %d of 10 streams, want 5", r.addr, n)
			}
		}
	})
}

func TestStreamWaitsUnderWhenDownWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait})
		time.AfterFunc(time.Second, c[0].start)
		if err := watch(t.Context(), conn); status.Code(err) != codes.Unimplemented {
			t.Errorf("got %v, want the replica's answer once it is up", err)
		}
	})
}

// A stream waits for a replica that is being dialed instead of failing because another is down.
func TestStreamWaitsForADial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].crash()
		conn := c.client(t, c.target(), failover.Policy{}, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == c[1].addr {
				time.Sleep(time.Second)
			}
			return c[addr[0]-'a'].dial(ctx)
		}))
		conn.Connect()
		synctest.Wait() // a is down, b is being dialed
		if err := watch(t.Context(), conn); status.Code(err) != codes.Unimplemented {
			t.Errorf("got %v, want b's answer", err)
		}
	})
}

// Streams count as calls: replicas that are down are dialed often.
func TestStreamsKeepReplicasDialed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		conn := c.connect(t, failover.Policy{})
		c[0].crash()
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if err := watch(t.Context(), conn); status.Code(err) != codes.Unavailable {
				t.Fatalf("got %v, want Unavailable", err)
			}
		}
		c[0].start()
		back := time.Now()
		for status.Code(watch(t.Context(), conn)) != codes.Unimplemented {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(back); took > 31*time.Millisecond {
			t.Errorf("a stream reached the replica %v after it listened again, want within 31ms", took)
		}
	})
}

// tokens are credentials that get a token through another connection, with the context of the
// request that needs it.
type tokens struct {
	conn *failover.Client
	busy *atomic.Bool
	got  *error
}

func (s tokens) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if !s.busy.Swap(true) {
		*s.got = watch(ctx, s.conn)
	}
	return nil, nil
}

func (tokens) RequireTransportSecurity() bool { return false }

// A context derived from that of an attempt carries the attempt. Another connection must ignore it.
func TestStreamWithinAnotherConnectionsAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		service, issuer := newCluster(t, 1), newCluster(t, 1)
		var got error
		creds := tokens{issuer.connect(t, failover.Policy{}), new(atomic.Bool), &got}
		conn := service.connect(t, failover.Policy{}, grpc.WithPerRPCCredentials(creds))
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		if attempts, err := call(ctx, conn); err != nil {
			t.Errorf("the call: got %q, %v", path(attempts), err)
		}
		if status.Code(got) != codes.Unimplemented || issuer[0].streams.Load() != 1 || service[0].streams.Load() != 0 {
			t.Errorf("the stream ended with %v, and reached the issuer %d times, the service %d times; want Unimplemented, 1 and 0",
				got, issuer[0].streams.Load(), service[0].streams.Load())
		}
	})
}
