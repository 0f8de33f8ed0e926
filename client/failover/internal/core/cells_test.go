package core_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

var soak = flag.Bool("soak", false, "simulate ten times as long, with a third of the noise")

// share is the divisor of the length of simulations without -soak.
var share = 1

// length returns how many calls to simulate instead of n.
func length(n int) int {
	if *soak {
		return 10 * n
	}
	return n / share
}

var fixedLimits = []fixed{1, 2, 3, 5, 8, 13, 25, 0}

// cell is a world in which limits are compared.
type cell struct {
	crash   float64
	callers int
	calls   int // to simulate; more if p is near the point where calls fail
}

var cells = []cell{
	{0, 10, 3000}, {0, 50, 5000},
	{0.01, 10, 5000}, {0.01, 50, 10000},
	{0.1, 10, 5000}, {0.1, 50, 5000},
	{0.3, 10, 5000}, {0.3, 50, 30000},
}

func (c cell) world(l limiter, reply bool) world {
	return world{
		replicas: 3, restart: time.Second, service: [2]time.Duration{50 * time.Millisecond, 500 * time.Millisecond},
		crash: c.crash, reply: reply,
		callers: c.callers, deadline: 10 * time.Second, tries: 3, limit: l,
	}
}

// result holds the figures of a cell.
type result struct {
	fixed    []tally // of fixedLimits
	best     int     // index of the best
	adaptive tally
}

// compare finds the best fixed limit: of those within a tenth of a percentage point of the highest
// success, the one with the highest throughput. Short runs select the candidates for long ones.
func (c cell) compare(reply bool) result {
	const seed = 1
	r := result{adaptive: simulate(c.world(new(core.Hazard), reply), length(c.calls), seed)}
	for _, l := range fixedLimits {
		r.fixed = append(r.fixed, simulate(c.world(l, reply), min(length(c.calls), 1000), seed))
	}
	top := r.topSuccess()
	for i, l := range fixedLimits {
		if i == 0 || r.fixed[i].success() > top-0.05 {
			r.fixed[i] = simulate(c.world(l, reply), length(c.calls), seed)
		}
	}
	top = r.topSuccess()
	r.best = -1
	for i, f := range r.fixed {
		if f.success() >= top-0.001 && (r.best < 0 || f.throughput() > r.fixed[r.best].throughput()) {
			r.best = i
		}
	}
	return r
}

func (r result) topSuccess() float64 {
	top := 0.0
	for _, f := range r.fixed {
		top = max(top, f.success())
	}
	return top
}

// compareAll compares the limits in each cell, and logs the figures as a table.
func compareAll(t *testing.T, cells []cell, reply bool, check func(*testing.T, cell, result)) {
	results := make([]result, len(cells))
	t.Run("cells", func(t *testing.T) {
		for i, c := range cells {
			t.Run(fmt.Sprintf("p=%v,callers=%d", c.crash, c.callers), func(t *testing.T) {
				t.Parallel()
				results[i] = c.compare(reply)
				check(t, c, results[i])
			})
		}
	})
	var table strings.Builder
	table.WriteString("success in % and successes a second: of the best fixed limit, of the adaptive one, of each fixed one\n")
	fmt.Fprintf(&table, "%5s %7s |%5s%15s |%15s |", "p", "callers", "best", "", "adaptive")
	for _, l := range fixedLimits {
		fmt.Fprintf(&table, "%14s", l)
	}
	for i, c := range cells {
		r := results[i]
		fmt.Fprintf(&table, "\n%5v %7d |%5s%v |%v |", c.crash, c.callers, fixedLimits[r.best], r.fixed[r.best], r.adaptive)
		for _, f := range r.fixed {
			fmt.Fprintf(&table, "%7.1f%7.1f", 100*f.success(), f.throughput())
		}
	}
	t.Log(table.String())
}

// Even with knowledge of p, no fixed limit is better by a percentage point of success.
func TestAsGoodAsTheBestFixedLimit(t *testing.T) {
	compareAll(t, cells, false, func(t *testing.T, c cell, r result) {
		best, limit := r.fixed[r.best], fixedLimits[r.best]
		if lack := best.success() - r.adaptive.success(); lack > 0.01 {
			t.Errorf("%.2f points of success less than with a limit of %s", 100*lack, limit)
		}
		atLeast := 0.85
		if c.crash == 0 {
			atLeast = 0.95
		}
		if share := r.adaptive.throughput() / best.throughput(); share < atLeast {
			t.Errorf("%.0f%% of the throughput with a limit of %s", 100*share, limit)
		}
	})
}

// With the crash point reply, more attempts in flight do less harm, because the replies due earlier
// have arrived. The limit, which is made for the crash point arrival, is then too low, but no worse
// than one attempt at a time. At p = 0 there is no difference.
func TestCrashAtReply(t *testing.T) {
	compareAll(t, cells[2:], true, func(t *testing.T, c cell, r result) {
		if one := r.fixed[0]; r.adaptive.success() < one.success()-0.01 || r.adaptive.throughput() < 0.97*one.throughput() {
			t.Errorf("success %.3f, throughput %.2f; with a limit of 1 %.3f and %.2f",
				r.adaptive.success(), r.adaptive.throughput(), one.success(), one.throughput())
		}
	})
}
