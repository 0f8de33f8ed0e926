package replicas_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A stream that its user cancels ends in a goroutine of gRPC. Ended reports when its end may be
// read.
func TestEndOfAStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		n[0].listen()
		set := replicas.NewSet(usual)
		conn, _ := n.connect(t, set)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		a := set.NewAttempt(ctx, set.View().Replicas[0])
		stream, err := healthv1.NewHealthClient(conn).Watch(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Ended() || !a.Sent {
			t.Errorf("under way: ended is %v, sent is %v, want false and true", a.Ended(), a.Sent)
		}
		cancel()
		if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
			t.Fatalf("got %v, want %v", err, codes.Canceled)
		}
		synctest.Wait()
		if !a.Ended() || !a.Sent || a.Answered {
			t.Errorf("ended is %v, sent is %v, answered is %v, want true, true and false", a.Ended(), a.Sent, a.Answered)
		}

		n[0].crash()
		time.Sleep(time.Second)
		a = set.NewAttempt(t.Context(), set.View().Replicas[0])
		if _, err := healthv1.NewHealthClient(conn).Watch(a, nil); status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v, want %v", err, codes.Unavailable)
		}
		if !a.Ended() || a.Sent {
			t.Errorf("refused: ended is %v, sent is %v, want true and false", a.Ended(), a.Sent)
		}
	})
}
