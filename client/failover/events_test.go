package failover_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// hooks records what OnAttempt and OnCall receive.
type hooks struct {
	mu       sync.Mutex
	attempts []failover.Attempt
	calls    []failover.Call
	foreign  int // with another method, or another context than the caller's
}

type callersKey struct{}

func (h *hooks) policy(p failover.Policy) failover.Policy {
	see := func(ctx context.Context, method string) {
		if ctx.Value(callersKey{}) != "the caller's" || method != workMethod {
			h.foreign++
		}
	}
	p.OnAttempt = func(ctx context.Context, method string, a failover.Attempt) {
		h.mu.Lock()
		defer h.mu.Unlock()
		see(ctx, method)
		h.attempts = append(h.attempts, a)
	}
	p.OnCall = func(ctx context.Context, c failover.Call) {
		h.mu.Lock()
		defer h.mu.Unlock()
		see(ctx, c.Method)
		h.calls = append(h.calls, c)
	}
	return p
}

// OnAttempt receives each attempt in turn, and OnCall all of them once, as Trace and the error do.
func TestHooksAgreeWithTrace(t *testing.T) {
	hedge := failover.Hedge{After: 50 * ms}
	for _, tc := range []struct {
		name    string
		policy  failover.Policy
		prepare func(c cluster, works []*work)
		patient time.Duration // of the caller
		want    string
		took    time.Duration
		waited  time.Duration
	}{
		{name: "well", want: "a:1 ok sent"},
		{name: "failover", prepare: func(_ cluster, w []*work) { w[0].does(takes(time.Second, codes.Unavailable)) }, want: "a:1 failed sent, b:1 ok sent", took: time.Second},
		{name: "timeout", policy: failover.Policy{Timeout: time.Second}, prepare: func(_ cluster, w []*work) { w[0].does(hang) },
			want: "a:1 timeout sent, b:1 ok sent", took: time.Second},
		{name: "rejected", prepare: func(_ cluster, w []*work) { w[0].does(answer(codes.NotFound)) }, want: "a:1 rejected sent"},
		{name: "two rounds", policy: failover.Policy{Rounds: 2, Pause: time.Second}, prepare: func(c cluster, _ []*work) { c.crash() },
			want: "a:1 refused, b:1 refused, a:1 refused, b:1 refused", took: time.Second},
		{name: "canceled", policy: failover.Policy{Idempotent: map[string]bool{}}, prepare: func(_ cluster, w []*work) { w[0].does(hang) }, patient: time.Second, want: "a:1 canceled sent", took: time.Second},
		{name: "no attempt", patient: -1, want: ""},
		{name: "hedge", policy: failover.Policy{Hedge: hedge}, prepare: func(_ cluster, w []*work) { w[0].does(hang) },
			want: "a:1 canceled sent, b:1 ok sent", took: 50 * ms},
		{name: "wait", policy: failover.Policy{WhenDown: failover.WhenDownWait}, prepare: func(c cluster, _ []*work) {
			c.crash()
			time.AfterFunc(2*time.Second, c[1].start)
		}, want: "b:1 ok sent", took: 2 * time.Second, waited: 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				if tc.prepare != nil {
					tc.prepare(c, works)
				}
				var h hooks
				conn := c.connect(t, h.policy(tc.policy))
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), callersKey{}, "the caller's"))
				defer cancel()
				if tc.patient != 0 {
					ctx, cancel = context.WithTimeout(ctx, tc.patient)
					defer cancel()
				}
				start := time.Now()
				trace, err := do(ctx, conn)
				took := time.Since(start)
				if path(trace) != tc.want || (took-tc.took).Abs() > 31*ms {
					t.Fatalf("got %q after %v, want %q after %v", path(trace), took, tc.want, tc.took)
				}
				slices.SortStableFunc(h.attempts, func(a, b failover.Attempt) int { return a.Number - b.Number }) // a hedge may end first
				if !slices.EqualFunc(h.attempts, trace, func(a, b failover.Attempt) bool { return reflect.DeepEqual(a, b) }) {
					t.Errorf("OnAttempt got\n     %+v\nwant %+v", h.attempts, trace)
				}
				if len(h.calls) != 1 || h.foreign != 0 {
					t.Fatalf("OnCall got %d calls, and hooks got another method or context %d times; want 1 and 0", len(h.calls), h.foreign)
				}
				got := h.calls[0]
				if !reflect.DeepEqual(got.Attempts, trace) || got.Err != err || !got.Start.Equal(start) || got.Duration != took ||
					(got.Waited-tc.waited).Abs() > 31*ms {
					t.Errorf("OnCall got %+v, want %+v, with %v after %v, of which %v waiting", got, trace, err, took, tc.waited)
				}
				if failed, ok := errors.AsType[*failover.Error](err); err != nil && (!ok || !reflect.DeepEqual(failed.Attempts, trace)) {
					t.Errorf("the error has %+v, want %+v", err, trace)
				}
				for i, a := range trace {
					if a.Number != i+1 || (a.Err == nil) != (a.Outcome == failover.OutcomeOK) {
						t.Errorf("attempt %d: %+v", i+1, a)
					}
				}
			})
		})
	}
}

// previous returns the header with the number of earlier attempts, and the caller's own metadata.
func previous(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(append(md["grpc-previous-rpc-attempts"], md["own"]...), " ")
}

// The header has the number of earlier attempts, including hedges. The first attempt has no header.
func TestPreviousAttemptsHeader(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		a, b   func(context.Context) error
		want   []string // by replica
	}{
		{"one after the other", failover.Policy{}, answer(codes.Unavailable), answer(codes.Unavailable), []string{"x", "1 x", "2 x"}},
		{"a hedge", failover.Policy{Hedge: failover.Hedge{After: ms}}, hang, nil, []string{"x", "1 x"}},
		{"after a hedge", failover.Policy{Hedge: failover.Hedge{After: ms}}, takes(5*ms, codes.Unavailable), answer(codes.Unavailable), []string{"x", "1 x", "2 x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				var mu sync.Mutex
				reported := map[string]string{}
				for i, f := range []func(context.Context) error{tc.a, tc.b, nil} {
					works[i].does(func(ctx context.Context) error {
						mu.Lock()
						reported[c[i].addr] = previous(ctx)
						mu.Unlock()
						if f == nil {
							return nil
						}
						return f(ctx)
					})
				}
				ctx := metadata.AppendToOutgoingContext(t.Context(), "own", "x")
				if attempts, err := do(ctx, c.connect(t, tc.policy)); err != nil || len(attempts) != len(tc.want) {
					t.Errorf("got %q, %v", path(attempts), err)
				}
				for i, want := range tc.want {
					if got := reported[c[i].addr]; got != want {
						t.Errorf("%s got %q, want %q", c[i].addr, got, want)
					}
				}
			})
		})
	}
	t.Run("a stream", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 2)
			c[0].other = fails(codes.Unavailable)
			c[1].other = func(stream grpc.ServerStream) error {
				return stream.SendMsg(wrapperspb.String(previous(stream.Context())))
			}
			if got, _, err := fetch(t.Context(), c.connect(t, failover.Policy{})); got != "1" || err != nil {
				t.Errorf("b got %q, %v, want 1", got, err)
			}
		})
	})
}
