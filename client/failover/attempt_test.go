package failover

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// late is a context whose deadline has passed and whose timer has not fired yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now(), true }

// An answer determines the outcome, even if a context has ended in the meantime.
func TestOutcomeAtTheLastMoment(t *testing.T) {
	live := t.Context()
	left, cancel := context.WithCancel(live)
	cancel()
	for _, tc := range []struct {
		name            string
		caller, attempt context.Context
		answered        bool
		code            codes.Code
		want            Outcome
	}{
		{"an answer, and then the caller left", left, left, true, codes.InvalidArgument, OutcomeRejected},
		{"a loss, and then the caller left", left, left, false, codes.Unavailable, OutcomeLost},
		{"an answer, and then the attempt's deadline", live, late{live}, true, codes.InvalidArgument, OutcomeRejected},
		{"a failure, and then the attempt's deadline", live, late{live}, true, codes.Unavailable, OutcomeFailed},
		{"the replica sees the attempt's deadline before the timer", live, late{live}, true, codes.DeadlineExceeded, OutcomeTimeout},
		{"the replica sees the caller's deadline before the timer", late{live}, late{live}, true, codes.DeadlineExceeded, OutcomeCanceled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &plan{client: new(client), ctx: tc.caller}
			if got := c.outcome(tc.caller, tc.attempt, nil, wire{Wire: core.Wire{Picked: true, Sent: true, Answered: tc.answered}}, status.Error(tc.code, "")); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// The context of an attempt holds a timer and, in the transport, a request. It must not live until
// the end of the call.
func TestAttemptContextEndsWithAttempt(t *testing.T) {
	c, conn := readyClient(t, Policy{Timeout: time.Hour, Rounds: 2, Idempotent: map[string]bool{"/": true}})
	var contexts []context.Context
	c.unary(t.Context(), "/m", nil, nil, conn, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		for i, earlier := range contexts {
			if earlier.Err() == nil {
				t.Errorf("attempt %d is still alive when attempt %d begins", i+1, len(contexts)+1)
			}
		}
		contexts = append(contexts, ctx)
		return status.Error(codes.Unavailable, "no")
	})
	if len(contexts) != 6 {
		t.Fatalf("%d attempts, want 6", len(contexts))
	}
	if contexts[5].Err() == nil {
		t.Error("the last attempt is still alive when the call has ended")
	}
}

func TestAttemptString(t *testing.T) {
	for _, tc := range []struct {
		attempt Attempt
		want    string
	}{
		{Attempt{Replica: "a:1", Outcome: OutcomeLost, Sent: true, Duration: 12 * time.Millisecond}, "a:1 lost (sent, 12ms)"},
		{Attempt{Replica: "a:1", Outcome: OutcomeOK, Sent: true, Duration: 1234567 * time.Nanosecond}, "a:1 ok (sent, 1.23ms)"},
		{Attempt{Replica: "a:1", Outcome: OutcomeRefused}, "a:1 refused (unsent, 0s)"},
	} {
		if got := tc.attempt.String(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

// An attempt at a replica that idle mode has replaced goes to its successor. One whose replica has
// left the target fails.
func TestAttemptAtReplacedReplica(t *testing.T) {
	Bubble(t, func(t *testing.T) {
		dial := serveInMemory(t)
		target := func(addr string) resolver.State {
			return resolver.State{Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{{Addr: addr}}}}}
		}
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(target("a:1"))
		c, err := newClient(Policy{})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := grpc.NewClient("test:///x", c.serviceConfig, grpc.WithResolvers(m), grpc.WithIdleTimeout(time.Minute),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Connect()
		synctest.Wait()
		past := c.replicas.View().Replicas[0]
		time.Sleep(time.Hour) // in idle mode
		synctest.Wait()
		check := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := healthv1.NewHealthClient(conn).Check(c.replicas.NewAttempt(ctx, past), new(healthv1.HealthCheckRequest))
			return err
		}
		if c.replicas.View() != nil {
			t.Fatal("the connection is not idle")
		}
		if err := check(); err != nil {
			t.Errorf("after idle mode: got %v, want success at the successor", err)
		}
		m.UpdateState(target("b:1"))
		if err := check(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "replica a:1 is gone from the target") {
			t.Errorf("gone from the target: got %v, want Unavailable, as the replica is gone", err)
		}
	})
}
