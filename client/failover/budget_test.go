package failover_test

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unavailable makes every replica answer Unavailable.
func (c cluster) unavailable() {
	for _, r := range c {
		r.handle = answer(codes.Unavailable)
	}
}

// outages are the ways in which a whole cluster can be out of service.
var outages = []struct {
	name     string
	whenDown failover.WhenDown
	begin    func(cluster)
}{
	{"refused", failover.WhenDownAttempt, cluster.crash},
	{"unavailable", failover.WhenDownAttempt, cluster.unavailable},
	{"unavailable, calls wait", failover.WhenDownWait, cluster.unavailable},
}

// In an outage of all replicas a call makes at most 1.2 attempts on average: the burst, and one
// more for every ten calls. The budget is used up.
func TestBudgetBoundsTheAttemptsInAnOutage(t *testing.T) {
	const calls = 336 // 16 callers' 21
	for _, outage := range outages {
		for _, callers := range []int{1, 16} {
			t.Run(fmt.Sprintf("%s, %d callers", outage.name, callers), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 3)
					outage.begin(c)
					conn := c.connect(t, failover.Policy{
						Rounds: 3, WhenDown: outage.whenDown, Budget: failover.Budget{Ratio: 0.1}})
					var group sync.WaitGroup
					for range callers {
						group.Go(func() {
							for range calls / callers {
								attempts, err := call(t.Context(), conn)
								if status.Code(err) != codes.Unavailable || len(attempts) < 9 && reason(err) != failover.ReasonBudgetSpent {
									t.Errorf("got %q, %v, want the outage's error, and the budget spent", path(attempts), err)
								}
							}
						})
					}
					group.Wait()
					s := conn.Statistics()
					attempts := s.Attempts[failover.OutcomeRefused] + s.Attempts[failover.OutcomeFailed]
					if attempts > calls*12/10 {
						t.Errorf("%d attempts for %d calls, want at most 1.2 per call", attempts, calls)
					}
					// 20, plus 0.1 for each call, except for those that found the bucket full.
					if most, least := int64(calls+20+calls/10), int64(calls+20+(calls-callers)/10); attempts < least || attempts > most {
						t.Errorf("%d attempts for %d calls, want %d to %d", attempts, calls, least, most)
					}
					if s.Denied != s.Failed[failover.ReasonBudgetSpent] {
						t.Errorf("%d denied, and %d calls failed for that", s.Denied, s.Failed[failover.ReasonBudgetSpent])
					}
				})
			})
		}
	}
}

func TestZeroBudgetIsUnbounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.unavailable()
		conn := c.connect(t, failover.Policy{Rounds: 9})
		for range 20 {
			if attempts, err := call(t.Context(), conn); len(attempts) != 27 || reason(err) != failover.ReasonRoundsSpent {
				t.Fatalf("%d attempts, %v, want 27 and the rounds spent", len(attempts), err)
			}
		}
		if s := conn.Statistics(); s.Denied != 0 || !math.IsInf(s.Budget, 1) {
			t.Errorf("%d denied and %v left, want none and any number", s.Denied, s.Budget)
		}
	})
}

// A bucket that fills with time never holds more than its burst.
func TestBudgetPerSecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.unavailable()
		conn := c.connect(t, failover.Policy{Budget: failover.Budget{PerSecond: 2, Burst: 1}, Ejection: failover.Ejection{Off: true}})
		for _, step := range []struct {
			after time.Duration
			want  int // attempts
		}{
			{0, 2}, {0, 1}, {499 * time.Millisecond, 1}, {time.Millisecond, 2}, {time.Hour, 2}, {0, 1},
		} {
			time.Sleep(step.after)
			if attempts, _ := call(t.Context(), conn); len(attempts) != step.want {
				t.Errorf("%v later: got %q, want %d attempts", step.after, path(attempts), step.want)
			}
		}
	})
}

// Calls without repetitions save tokens for others, and a call's own share counts.
func TestBudgetIsFilledByCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{Budget: failover.Budget{Ratio: 0.25, Burst: 1}})
		fails := func() int {
			c.unavailable()
			defer func() { c[0].handle, c[1].handle = nil, nil }()
			attempts, _ := call(t.Context(), conn)
			return len(attempts)
		}
		if got := []int{fails(), fails()}; got[0] != 2 || got[1] != 1 {
			t.Fatalf("%d attempts, want 2 and then 1", got)
		}
		call(t.Context(), conn)
		if left := conn.Statistics().Budget; left != 0.5 {
			t.Errorf("%v left in the bucket, want 0.5", left)
		}
		if got := fails(); got != 1 {
			t.Errorf("with 0.75 in the bucket: %d attempts, want 1", got)
		}
		if got := fails(); got != 2 {
			t.Errorf("with 1 in the bucket: %d attempts, want 2", got)
		}
	})
}

// The budget also bounds the attempts at replicas that hang, although each call is hedged and
// repeated.
func TestBudgetBoundsHedgesInAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const calls = 400
		c := newCluster(t, 3)
		for _, r := range c {
			r.handle = hang
		}
		conn := c.connect(t, failover.Policy{
			Timeout: time.Second, Rounds: 3, Hedge: failover.Hedge{After: 100 * time.Millisecond, Share: 1},
			Budget: failover.Budget{Ratio: 0.1}})
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				for range calls / 16 {
					if attempts, err := call(t.Context(), conn); err == nil {
						t.Errorf("got %q, want an error", path(attempts))
					}
				}
			})
		}
		group.Wait()
		s := conn.Statistics()
		if n := s.Attempts[failover.OutcomeTimeout] + s.Attempts[failover.OutcomeCanceled]; n > calls*12/10 || s.Hedges == 0 {
			t.Errorf("%d attempts for %d calls, %d of them hedges, want at most 1.2 of each", n, calls, s.Hedges)
		}
	})
}

func TestHedgesDrawOnTheBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for _, r := range c {
			r.handle = sleep(time.Second)
		}
		conn := c.connect(t, failover.Policy{
			Hedge: failover.Hedge{After: time.Millisecond, Share: 1}, Budget: failover.Budget{Burst: 3}})
		for i := range 10 {
			attempts, err := call(t.Context(), conn)
			if want := 1 + min(1, max(0, 3-i)); err != nil || len(attempts) != want {
				t.Errorf("call %d: got %q, %v, want %d attempts", i+1, path(attempts), err, want)
			}
		}
		if s := conn.Statistics(); s.Hedges != 3 || s.Denied != 7 {
			t.Errorf("%d hedges and %d denied, want 3 and 7", s.Hedges, s.Denied)
		}
		// No token is left for a repetition either.
		synctest.Wait()
		c.unavailable()
		if attempts, err := call(t.Context(), conn); len(attempts) != 1 || reason(err) != failover.ReasonBudgetSpent {
			t.Errorf("got %q, %v, want one attempt and the budget spent", path(attempts), err)
		}
	})
}
