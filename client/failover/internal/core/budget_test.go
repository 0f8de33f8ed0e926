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
	for _, b := range []*Budget{NewBudget(0, 0, math.MaxInt), NewBudget(0, math.Inf(1), 1), NewBudget(0, 1e300, 1)} {
		for now := range 10 * time.Nanosecond {
			if !b.Take(now * time.Second) {
				t.Errorf("%+v: not granted after %v", b, now*time.Second)
			}
		}
	}
}
