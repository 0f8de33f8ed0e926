package failover_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// narrow restarts a replica with so many streams for each connection.
func (r *replica) narrow(streams uint32) {
	r.crash()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lis = bufconn.Listen(64 << 10)
	r.server = grpc.NewServer(grpc.UnknownServiceHandler(r.unknown), grpc.MaxConcurrentStreams(streams))
	healthv1.RegisterHealthServer(r.server, r)
	go r.server.Serve(r.lis)
}

// Calls go elsewhere when a few have waited in vain for a stream at a replica whose streams are all in use.
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
				t.Errorf("%v: %d of 20 calls failed, want 3 at most", whenDown, failed)
			}
			cancel()
			holders.Wait()
		})
	}
}
