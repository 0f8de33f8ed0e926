package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// hooks keeps what OnAttempt and OnCall are told.
type hooks struct {
	mu       sync.Mutex
	attempts []failover.Attempt
	calls    []failover.Call
	foreign  int // of another method, or with another context than the caller's
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

// OnAttempt is told of each attempt in turn, OnCall once of all of them, as Trace and the error are.
func TestHooksTellWhatTraceTells(t *testing.T) {
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
		{name: "wait", policy: failover.Policy{WhenDown: failover.Wait}, prepare: func(c cluster, _ []*work) {
			c.crash()
			time.AfterFunc(10*time.Second, c[1].start)
		}, want: "b:1 ok sent", took: 10 * time.Second, waited: 10 * time.Second},
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
					t.Errorf("OnAttempt was told\n     %+v\nwant %+v", h.attempts, trace)
				}
				if len(h.calls) != 1 || h.foreign != 0 {
					t.Fatalf("OnCall was told of %d calls, %d times of another method or context, want one, and never", len(h.calls), h.foreign)
				}
				got := h.calls[0]
				if !reflect.DeepEqual(got.Attempts, trace) || got.Err != err || !got.Start.Equal(start) || got.Duration != took ||
					(got.Waited-tc.waited).Abs() > 31*ms {
					t.Errorf("OnCall was told %+v, want %+v, with %v after %v, of which %v waiting", got, trace, err, took, tc.waited)
				}
				if failed, ok := errors.AsType[*failover.Error](err); err != nil && (!ok || !reflect.DeepEqual(failed.Attempts, trace)) {
					t.Errorf("the error has %+v, want %+v", err, trace)
				}
				for i, a := range trace {
					if a.Number != i+1 || (a.Err == nil) != (a.Outcome == failover.OK) {
						t.Errorf("attempt %d: %+v", i+1, a)
					}
				}
			})
		})
	}
}

// tally counts what the hooks are told.
type tally struct {
	attempts [7]atomic.Int64
	reasons  [9]atomic.Int64
	ok       atomic.Int64
	hedges   atomic.Int64
}

func (n *tally) policy(p failover.Policy) failover.Policy {
	p.OnAttempt = func(_ context.Context, _ string, a failover.Attempt) {
		n.attempts[a.Outcome].Add(1)
		if a.Hedge {
			n.hedges.Add(1)
		}
	}
	p.OnCall = func(_ context.Context, c failover.Call) {
		if failed, ok := errors.AsType[*failover.Error](c.Err); ok {
			n.reasons[failed.Reason].Add(1)
		} else {
			n.ok.Add(1)
		}
	}
	return p
}

// After a mix of everything by 16 callers, while replicas crash, leave and come, the numbers are those that the hooks were
// told, and nothing is in flight. Meanwhile no number ever falls.
func TestStatisticsAddUp(t *testing.T) {
	c := newCluster(t, 4)
	var restarts, callers, watcher sync.WaitGroup
	for i, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			switch n := rand.IntN(60); {
			case n == 0 && i > 0:
				restarts.Go(r.restart)
				return hangs(stream)
			case n < 4:
				return hangs(stream)
			case n < 8:
				return status.Error(codes.Unavailable, "by chance")
			case n < 12:
				return status.Error(codes.NotFound, "by chance")
			case n < 20:
				time.Sleep(rand.N(5 * ms))
			}
			return say(stream, r.addr)
		}
	}
	m := manual.NewBuilderWithScheme("test")
	m.InitialState(endpoints("abcd"))
	var s failover.Statistics
	var told tally
	conn := c.connectTo(t, "test:///x", 4, told.policy(failover.Policy{
		Statistics: &s, Timeout: 20 * ms, Rounds: 2, Pause: ms, Order: failover.Random, MaxInFlight: 6,
		Hedge: failover.Hedge{After: 2 * ms, Share: 0.5}, Budget: failover.Budget{Ratio: 0.5},
		Ejection: failover.Ejection{Probe: 10 * ms}, OnReplica: func(failover.ReplicaEvent) { s.Read() }, // which may be read anywhere
	}), grpc.WithResolvers(m))
	done := make(chan struct{})
	watcher.Go(func() {
		var last failover.Snapshot
		for {
			now := s.Read()
			if now.Calls < last.Calls || now.Succeeded < last.Succeeded || slices.ContainsFunc(failover.Outcomes(), func(o failover.Outcome) bool {
				return now.Attempts[o] < last.Attempts[o]
			}) {
				t.Errorf("a number has fallen: %+v, and then %+v", last, now)
			}
			last = now
			select {
			case <-done:
				return
			case <-time.After(ms):
			}
		}
	})
	views := []string{"abcd", "abc", "acd", "ad", "dcba", "a"}
	const calls = 100
	for range 16 {
		callers.Go(func() {
			for range calls {
				ctx, cancel := context.WithTimeout(t.Context(), long)
				switch rand.IntN(8) {
				case 0:
					time.AfterFunc(rand.N(10*ms), cancel)
					do(ctx, conn)
				case 1:
					fetch(ctx, conn)
				case 2:
					time.AfterFunc(rand.N(10*ms), cancel)
					fetch(ctx, conn)
				case 3:
					do(ctx, conn, failover.WithIdempotent(false), failover.WithWhenDown(failover.Wait))
				case 4:
					m.UpdateState(endpoints(views[rand.IntN(len(views))]))
					time.AfterFunc(50*ms, cancel)
					do(ctx, conn, failover.WithTimeout(0), failover.WithRounds(1))
				default:
					do(ctx, conn)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	restarts.Wait()
	close(done)
	watcher.Wait()
	if diff := settled(&s, &told, 16*calls); diff != "" {
		t.Error(diff)
	}
	for o := range told.attempts {
		if told.attempts[o].Load() == 0 && failover.Outcome(o) != failover.Refused {
			t.Errorf("no attempt was %v: the test has tested less than it should", failover.Outcome(o))
		}
	}
}

// settled waits until all calls have ended, those that their callers abandoned too, and returns where the statistics are not
// what the hooks were told.
func settled(s *failover.Statistics, told *tally, calls int64) string {
	var diff []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * ms) {
		diff = nil
		check := func(what string, got, want int64) {
			if got != want {
				diff = append(diff, what+": "+itoa(got)+", want "+itoa(want))
			}
		}
		got := s.Read()
		ended := got.Succeeded
		check("calls", got.Calls, calls)
		check("succeeded", got.Succeeded, told.ok.Load())
		check("hedges", got.Hedges, told.hedges.Load())
		check("waiting", int64(got.Waiting), 0)
		for _, r := range failover.Reasons() {
			ended += got.Failed[r]
			check(r.String(), got.Failed[r], told.reasons[r].Load())
		}
		check("calls that have ended", ended, calls)
		for _, o := range failover.Outcomes() {
			check(o.String(), got.Attempts[o], told.attempts[o].Load())
		}
		for _, r := range got.Replicas {
			check("in flight at "+r.Replica, int64(r.InFlight), 0)
		}
		if diff == nil {
			break
		}
	}
	return strings.Join(diff, "; ")
}

// What was counted at a replica that is gone stays counted; one that comes back begins anew.
func TestCountsOfAReplicaThatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		var s failover.Statistics
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{Statistics: &s}, grpc.WithResolvers(m))
		works[0].does(takes(time.Second, codes.OK))
		var late sync.WaitGroup
		late.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		wantPath(t, conn, "a:1 ok sent")
		synctest.Wait()
		late.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		synctest.Wait()
		m.UpdateState(endpoints("b")) // with one attempt still at a
		wantPath(t, conn, "b:1 ok sent")
		if got := s.Read(); len(got.Replicas) != 1 || got.Replicas[0].Replica != "b:1" || got.Attempts[failover.OK] != 3 {
			t.Errorf("a is gone: %+v, want b alone, and 3 attempts in all", got)
		}
		late.Wait()
		if n := s.Read().Attempts[failover.OK]; n != 4 {
			t.Errorf("the last attempt at a has ended: %d attempts, want 4", n)
		}
		m.UpdateState(endpoints("ab"))
		synctest.Wait()
		if got := s.Read(); got.Replicas[0].Attempts[failover.OK] != 0 || got.Attempts[failover.OK] != 4 {
			t.Errorf("a is back: %+v, want none at it, and 4 in all", got)
		}
	})
}

// What a call sees of itself while it is on its way.
func TestStatisticsOfACallOnItsWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var s failover.Statistics
		if got := s.Read(); got.Calls != 0 || len(got.Replicas) != 0 || len(got.Attempts) != len(failover.Outcomes()) || len(got.Failed) != len(failover.Reasons()) {
			t.Errorf("before there is a connection: %+v, want every outcome and reason with zero", got)
		}
		c, works := newWork(t, 1)
		conn := c.connect(t, failover.Policy{Statistics: &s, WhenDown: failover.Wait, MaxInFlight: 1})
		works[0].does(takes(time.Second, codes.OK))
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		}
		synctest.Wait()
		if got := s.Read(); got.Calls != 2 || got.Succeeded != 0 || got.Waiting != 1 || got.Replicas[0].InFlight != 1 || got.Limit != 1 {
			t.Errorf("got %+v, want two calls, one of them in flight and one waiting", got)
		}
		calls.Wait()
		wantAtRest(t, &s)
	})
}

// previous returns what the replica is told of earlier attempts, and the caller's own metadata.
func previous(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(append(md["grpc-previous-rpc-attempts"], md["own"]...), " ")
}

// A replica is told how many attempts went before, hedges among them; of the first attempt it is told nothing.
func TestReplicasAreToldOfEarlierAttempts(t *testing.T) {
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
				told := map[string]string{}
				for i, f := range []func(context.Context) error{tc.a, tc.b, nil} {
					works[i].does(func(ctx context.Context) error {
						mu.Lock()
						told[c[i].addr] = previous(ctx)
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
					if got := told[c[i].addr]; got != want {
						t.Errorf("%s was told %q, want %q", c[i].addr, got, want)
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
				t.Errorf("b was told %q, %v, want 1", got, err)
			}
		})
	})
}
