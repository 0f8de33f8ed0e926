package failover_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// narrow restarts a replica with a limit on the streams of each connection.
func (r *replica) narrow(streams uint32) {
	r.crash()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lis = bufconn.Listen(64 << 10)
	r.server = grpc.NewServer(grpc.UnknownServiceHandler(r.unknown), grpc.MaxConcurrentStreams(streams))
	healthv1.RegisterHealthServer(r.server, r)
	go r.server.Serve(r.lis)
}

// Once a few calls have waited in vain for a stream of a replica, others avoid that replica.
func TestUsedUpStreamsSpillOver(t *testing.T) {
	for _, whenDown := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 3)
			c[0].narrow(2)
			c[0].handle = hang
			conn := c.connect(t, failover.Policy{WhenDown: whenDown, Idempotent: map[string]bool{"/": false}})
			ctx, cancel := context.WithCancel(t.Context())
			var holders sync.WaitGroup
			for range 2 {
				holders.Go(func() { call(ctx, conn) })
			}
			synctest.Wait()
			failed := 0
			for range 20 {
				brief, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				if _, err := call(brief, conn); err != nil {
					failed++
				}
				cancel()
			}
			if failed > 3 {
				t.Errorf("%v: %d of 20 calls failed, want at most 3", whenDown, failed)
			}
			cancel()
			holders.Wait()
		})
	}
}

// An attempt that waits for a stream may lose its connection before it is sent. An attempt that
// joined it continues.
func TestAttemptThatIsMissedLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].narrow(1)
		c[0].handle = hang
		c[1].handle = takes(50*ms, codes.OK)
		hedge := failover.Hedge{After: 10 * ms, Share: 1}
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, Hedge: hedge})
		var holder sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		holder.Go(func() { call(ctx, conn, failover.WithHedge(failover.Hedge{})) })
		synctest.Wait()
		time.AfterFunc(30*ms, c[0].crash)
		start := time.Now()
		attempts, err := call(t.Context(), conn)
		if got := path(attempts); got != "b:1 ok sent" || err != nil || time.Since(start) != 60*ms {
			t.Errorf("after %v: %q, %v, want success at b after 60ms", time.Since(start), got, err)
		}
		cancel()
		holder.Wait()
	})
}
