package failover_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// The error line, word for word, and the status message that servers pass on, which contains no
// address. The call does not begin a pause that would outlast the caller.
func TestErrorReadsAsOneLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.crash()
		conn := c.connect(t, failover.Policy{Rounds: 2, Pause: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := call(ctx, conn)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
		const line = "grpc.health.v1.Health/Check failed after 2 attempts in 1 round: " +
			"a:1 refused (unsent, 0s), b:1 refused (unsent, 0s): too little time left: dial tcp: connection refused"
		if err.Error() != line {
			t.Errorf("got  %s\nwant %s", err, line)
		}
		const message = "too little time left after 2 attempts, the last one refused"
		if got := status.Convert(err).Message(); got != message {
			t.Errorf("the status says %q, want %q", got, message)
		}
	})
}

func TestErrorHasMethodAndAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		_, err := call(t.Context(), c.connect(t, failover.Policy{}))
		failed, ok := errors.AsType[*failover.Error](err)
		if !ok || len(failed.Attempts) != 1 {
			t.Fatalf("got %#v, want a *failover.Error with one attempt", err)
		}
		if want := healthv1.Health_Check_FullMethodName; failed.Method != want {
			t.Errorf("method %q, want %q", failed.Method, want)
		}
		// The network's error text, without the layers that gRPC wraps around it.
		a := failed.Attempts[0]
		if want := "dial tcp: connection refused"; a.Err.Error() != want || a.Code() != codes.Unavailable {
			t.Errorf("the refusal is %v and reads %q, want %v and %q", a.Code(), a.Err, codes.Unavailable, want)
		}
	})
}

func TestErrorKeepsTheStatusDetails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].handle = func(context.Context) error {
			s, err := status.New(codes.InvalidArgument, "no").WithDetails(&healthv1.HealthCheckRequest{Service: "detail"})
			if err != nil {
				t.Error(err)
			}
			return s.Err()
		}
		_, err := call(t.Context(), c.connect(t, failover.Policy{}))
		details := status.Convert(err).Details()
		if len(details) != 1 {
			t.Fatalf("got details %v, want the replica's one", details)
		}
		if d, ok := details[0].(*healthv1.HealthCheckRequest); !ok || d.Service != "detail" {
			t.Errorf("got detail %v, want the replica's", details[0])
		}
	})
}

// Changing a trace does not change the error.
func TestErrorAndTraceAreIndependent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		attempts, err := call(t.Context(), c.connect(t, failover.Policy{}))
		attempts[0].Replica = "changed"
		failed, ok := errors.AsType[*failover.Error](err)
		if !ok || path(failed.Attempts) != "a:1 refused" {
			t.Errorf("got %v, want a:1 refused", err)
		}
	})
}

func TestOutcomeNames(t *testing.T) {
	want := []string{"ok", "refused", "lost", "failed", "timeout", "rejected", "canceled"}
	for i, o := range failover.Outcomes() {
		if text, err := o.MarshalText(); int(o) != i || o.String() != want[i] || string(text) != want[i] || err != nil {
			t.Errorf("outcome %d is %q, as text %q, %v, want %q", o, o, text, err, want[i])
		}
	}
	if n := len(failover.Outcomes()); n != len(want) {
		t.Errorf("%d outcomes, want %d", n, len(want))
	}
	if got := failover.Outcome(7).String(); got != "failover.Outcome(7)" {
		t.Errorf("an invalid outcome reads %q, want failover.Outcome(7)", got)
	}
}

func TestOrderNames(t *testing.T) {
	for want, name := range map[failover.Order]string{
		failover.OrderFirst: "first", failover.OrderRoundRobin: "round-robin", failover.OrderRandom: "random",
		failover.OrderLeastInFlight: "least-in-flight", failover.OrderSticky: "sticky",
	} {
		var got failover.Order
		if err := got.UnmarshalText([]byte(name)); err != nil || got != want || want.String() != name {
			t.Errorf("%q is order %v, %v, want %v", name, got, err, want)
		}
	}
	if err := new(failover.Order).UnmarshalText([]byte("sideways")); err == nil || err.Error() != `"sideways": want first, round-robin, random, least-in-flight or sticky` {
		t.Errorf(`got %v, want "sideways" refused with what is allowed`, err)
	}
}
