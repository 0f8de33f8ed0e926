package failover_test

import (
	"errors"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// reason returns why a call failed, or -1 if err is not an Error.
func reason(err error) failover.Reason {
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		return failed.Reason
	}
	return -1
}

// If there is no replica, the reason is not that the rounds are spent.
func TestReasonWithoutReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := manual.NewBuilderWithScheme("test")
		conn := newCluster(t, 0).client(t, "test:///x", failover.Policy{Rounds: 2, Pause: time.Hour}, grpc.WithResolvers(m))
		m.InitialState(endpoints(""))
		if _, err := call(t.Context(), conn); reason(err) != failover.ReasonNoReplica || !errors.Is(err, failover.ErrNoReplicas) {
			t.Errorf("with an empty target: %v, for the reason %q", err, reason(err))
		}
		time.AfterFunc(time.Minute, func() { conn.Close() })
		if _, err := call(t.Context(), conn); reason(err) != failover.ReasonNoReplica || status.Code(err) != codes.Canceled {
			t.Errorf("closed in a pause: %v, for the reason %q", err, reason(err))
		}
	})
}
