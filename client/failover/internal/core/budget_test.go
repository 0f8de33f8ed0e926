package core

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// take empties the bucket and returns how many tokens there were.
func take(b *Budget, now time.Duration) (n int) {
	for b.Take(now) {
		n++
	}
	return n
}

// What 16 callers add and take concurrently adds up exactly.
func TestBudgetIsExactUnderConcurrency(t *testing.T) {
	const callers, calls = 16, 1000
	b := NewBudget(0.25, 0, callers*calls)
	if n := take(b, 0); n != callers*calls {
		t.Fatalf("a new bucket held %d, want %d", n, callers*calls)
	}
	var taken atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range calls {
				b.Call()
				if b.Take(0) {
					taken.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := int(taken.Load()) + take(b, 0); n != callers*calls/4 {
		t.Errorf("%d taken, want one for every fourth of %d calls", n, callers*calls)
	}
}

// Time that many goroutines see concurrently and out of order is counted once.
func TestBudgetCountsTimeOnce(t *testing.T) {
	const callers, steps = 16, 1000
	b := NewBudget(0, 100, 10_000)
	take(b, 0)
	var taken, clock atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range steps {
				if b.Take(time.Duration(clock.Add(int64(time.Millisecond)))) {
					taken.Add(1)
				}
			}
		})
	}
	group.Wait()
	n := int(taken.Load()) + take(b, time.Duration(clock.Load()))
	if want := callers * steps / 10; n < want-1 || n > want+1 { // a step adds a tenth of a token
		t.Errorf("%d taken in %v, want %d", n, time.Duration(clock.Load()), want)
	}
}

// A rate so low that a step of time adds less than the smallest unit still adds up.
func TestBudgetKeepsFractions(t *testing.T) {
	b := NewBudget(0, 0.5, 1)
	take(b, 0)
	for now := time.Duration(0); now < 2*time.Second; now += 1300 * time.Microsecond {
		if b.Take(now) {
			t.Fatalf("a token after %v, want one after 2s", now)
		}
	}
	if now := 2*time.Second + time.Microsecond; !b.Take(now) {
		t.Errorf("no token after %v, want one after 2s", now)
	}
}

// Small numbers of tokens add up, whether calls or the time add them, to a millionth of a token.
func TestBudgetOfSmallNumbers(t *testing.T) {
	for _, tc := range []struct {
		tokens float64
		times  int // how often they are added
		want   int
	}{
		{0.0004, 20_000, 8}, {0.0004, 2499, 0}, {0.0005, 2000, 1}, {0.0015, 2000, 3}, {0.00001, 100_000, 1}, {0.00001, 99_999, 0},
		{0, 1000, 0},
	} {
		calls, worth := NewBudget(tc.tokens, 0, 10), NewBudget(0, 0, 10)
		take(calls, 0)
		take(worth, 0)
		for range tc.times {
			calls.Call()
			worth.CallWorth(tc.tokens)
		}
		seconds := NewBudget(0, tc.tokens, 10)
		end := time.Duration(tc.times)*time.Second + time.Microsecond
		take(seconds, 0)
		if n, m, s := take(calls, 0), take(worth, 0), take(seconds, end); n != tc.want || m != tc.want || s != tc.want {
			t.Errorf("%v tokens added %d times: %d by Call, %d by CallWorth and %d by the time, want %d", tc.tokens, tc.times, n, m, s, tc.want)
		}
	}
	tiny := NewBudget(1e-300, 0, 1)
	take(tiny, 0)
	if tiny.Call(); tiny.Left(0) == 0 {
		t.Error("a ratio that is not zero adds nothing")
	}
}

func TestBudgetHoldsNoMoreThanItsBurst(t *testing.T) {
	b := NewBudget(1, 1000, 3)
	for range 100 {
		b.Call()
	}
	if n := take(b, time.Hour); n != 3 {
		t.Errorf("took %d after an hour and 100 calls, want 3", n)
	}
}

// Large numbers are an effectively unlimited budget.
func TestBudgetOfLargeNumbers(t *testing.T) {
	for _, b := range []*Budget{
		NewBudget(0, 0, math.MaxInt), NewBudget(0, math.Inf(1), 1), NewBudget(0, 1e300, 1), NewBudget(1, math.MaxFloat64, math.MaxInt),
	} {
		b.Call()
		for now := range 10 * time.Nanosecond {
			if !b.Take(now * time.Second) {
				t.Errorf("%+v: not granted after %v", b, now*time.Second)
			}
			b.Call()
			b.Give()
		}
		if left := b.Left(math.MaxInt64); !(left >= 1) {
			t.Errorf("%+v: %v tokens after 292 years, want 1 or more", b, left)
		}
	}
}
