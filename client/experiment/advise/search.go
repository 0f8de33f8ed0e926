package advise

import (
	"cmp"
	"context"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/stats"
)

// search is the search for the answer to one question.
type search struct {
	Question
	engine simulate.Engine
}

// The number of trials of a candidate in the first two stages of the search, and the number of
// candidates left after each.
const (
	firstTrials, firstLeft   = 2, 12
	secondTrials, secondLeft = 8, 6
)

// hopeless is a shortfall that the change of a single factor cannot make up for.
const hopeless = 30

// longer multiplies the calls of a trial in the last stage, in which slowly growing queues must
// show.
const longer = 4

// maxLastTrials is the greatest number of trials of a candidate in the last stage.
const maxLastTrials = 200

// lastTrials returns how many trials of the last stage show that a candidate which meets the goal
// easily does so by its interval.
func (q Question) lastTrials() int {
	const least = 24
	if q.Goal.Success == 0 {
		return least
	}
	return min(max(least, int(10/(1-q.Goal.Success))/(longer*q.calls(q.Settings))), maxLastTrials)
}

// find returns the candidates of the last stage, the best first.
func (s *search) find(ctx context.Context) ([]Candidate, error) {
	tried, err := s.evaluate(ctx, s.coarse(s.Settings), firstTrials)
	if err != nil {
		return nil, err
	}
	if best := s.best(tried, 3, 3); s.shortfall(best[0]) > hopeless {
		tried, err = s.again(ctx, best, secondTrials)
		return s.rank(tried), err
	}
	var more []design.Settings
	for _, c := range s.best(tried, 3, 3) {
		for _, n := range s.near(c.Settings) {
			if !slices.Contains(more, n) {
				more = append(more, n)
			}
		}
	}
	nearby, err := s.evaluate(ctx, more, firstTrials)
	if err != nil {
		return nil, err
	}
	tried, err = s.again(ctx, s.best(append(tried, nearby...), firstLeft, 3), secondTrials)
	if err != nil {
		return nil, err
	}
	last := s.best(tried, secondLeft, 1.5)
	if len(s.within(last, 3)) == 0 {
		return s.rank(last), nil
	}
	tried, err = s.last(ctx, last, s.lastTrials())
	if err != nil {
		return nil, err
	}
	if all := s.rank(tried); all[0].Held || s.shortfall(all[0]) > unclear {
		return all, nil
	}
	tried, err = s.last(ctx, s.within(tried, unclear), unclearTrials*s.lastTrials())
	return s.rank(tried), err
}

// Candidates whose shortfall is at most unclear, but which do not hold by their intervals, get
// unclearTrials times as many trials.
const (
	unclear       = 1.1
	unclearTrials = 4
)

// again evaluates candidates with another number of trials.
func (s *search) again(ctx context.Context, of []Candidate, trials int) ([]Candidate, error) {
	var settings []design.Settings
	for _, c := range of {
		settings = append(settings, c.Settings)
	}
	return s.evaluate(ctx, settings, trials)
}

// last evaluates candidates with trials of longer times as many calls.
func (s *search) last(ctx context.Context, of []Candidate, trials int) ([]Candidate, error) {
	var long []Candidate
	for _, c := range of {
		c.Settings.Calls *= longer
		long = append(long, c)
	}
	found, err := s.again(ctx, long, trials)
	for i := range found {
		found[i].Settings.Calls /= longer
	}
	return found, err
}

// evaluate simulates the given number of trials of each candidate, on all processors.
func (s *search) evaluate(ctx context.Context, settings []design.Settings, repeats int) ([]Candidate, error) {
	found := make([]Candidate, len(settings))
	errs := make([]error, len(settings))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				found[i], errs[i] = s.try(ctx, settings[i], repeats)
			}
		})
	}
	for i := range settings {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// try simulates the trials of one candidate.
func (s *search) try(ctx context.Context, settings design.Settings, repeats int) (Candidate, error) {
	d := &design.Design{
		Name: "advise", Seed: s.Seed, Repeats: repeats, Parallel: 1,
		Cells: []design.Cell{{Settings: settings}}, Claims: s.Goal.Claims(),
	}
	run, err := s.engine.Run(ctx, d, d.Trials())
	if err != nil {
		return Candidate{}, err
	}
	summary := experiment.Summarize(run)
	c := Candidate{Settings: settings, Metrics: summary.Cells[0].Metrics, Trials: repeats, Calls: repeats * settings.Calls, Held: true}
	for _, claim := range summary.Claims {
		fast := claim.Claim.Metric == design.P99 && claim.Interval.N > 0 && high(claim.Interval) <= claim.Claim.Threshold
		c.Held = c.Held && (claim.Verdict == experiment.VerdictHeld || fast)
	}
	failures, p99 := 1-c.Metrics[design.Success].Low, high(c.Metrics[design.P99])
	c.Safe = c.Held && (s.Goal.Success == 0 || failures <= maxFailuresUsed*(1-s.Goal.Success)) &&
		(s.Goal.P99 == 0 || p99 <= maxP99Used*s.Goal.P99.Seconds())
	return c, nil
}

// The greatest shares of the allowed failures and of the p99 that a safe candidate uses.
const (
	maxFailuresUsed = 0.5
	maxP99Used      = 0.9
)

// high returns the upper end of a latency's interval. If the interval is infinite because all
// trials were equal, it returns the estimate, since more simulated trials would be equal too.
func high(i stats.Interval) float64 {
	if i.N > 1 && !i.Bounded() {
		return i.Estimate
	}
	return i.High
}

// shortfall returns how far the estimates of a candidate are from the goal. Up to 1 they meet it; 2
// means twice the allowed failures or twice the allowed latency.
func (q Question) shortfall(c Candidate) float64 {
	worst := 0.0
	if q.Goal.Success > 0 {
		worst = (1 - c.Metrics[design.Success].Estimate) / (1 - q.Goal.Success)
	}
	if q.Goal.P99 > 0 {
		p99, known := c.Metrics[design.P99]
		if !known {
			return math.Inf(1)
		}
		worst = max(worst, p99.Estimate/q.Goal.P99.Seconds())
	}
	return worst
}

// best returns up to n candidates for the next stage. Two thirds are the cheapest ones that may
// meet the goal, with a shortfall of at most slack, since few trials may mislead; the rest are
// those with the smallest shortfall. Of candidates with the same results it takes one.
func (q Question) best(of []Candidate, n int, slack float64) []Candidate {
	closest := slices.Clone(of)
	slices.SortStableFunc(closest, func(a, b Candidate) int { return cmp.Compare(q.shortfall(a), q.shortfall(b)) })
	met := slices.IndexFunc(closest, func(c Candidate) bool { return q.shortfall(c) > slack })
	if met < 0 {
		met = len(closest)
	}
	var chosen []Candidate
	choose := func(from []Candidate, n int) {
		for _, c := range from {
			if len(chosen) < n && !slices.ContainsFunc(chosen, c.sameResults) {
				chosen = append(chosen, c)
			}
		}
	}
	choose(q.inOrder(closest[:met]), (2*n+2)/3)
	choose(closest, n)
	return chosen
}

// sameResults reports whether the trials of both candidates had the same results, so that the
// difference between their policies had no effect.
func (c Candidate) sameResults(other Candidate) bool {
	return maps.EqualFunc(c.Metrics, other.Metrics, func(a, b stats.Interval) bool { return a.Estimate == b.Estimate })
}

// rank returns the safe candidates in order of preference, then the others that meet the goal, then
// the rest, both by shortfall.
func (q Question) rank(of []Candidate) []Candidate {
	var safe, others []Candidate
	for _, c := range of {
		if c.Safe {
			safe = append(safe, c)
		} else {
			others = append(others, c)
		}
	}
	slices.SortStableFunc(others, func(a, b Candidate) int {
		switch {
		case a.Held && !b.Held:
			return -1
		case b.Held && !a.Held:
			return 1
		}
		return cmp.Compare(q.shortfall(a), q.shortfall(b))
	})
	return append(q.inOrder(safe), others...)
}

// alike is the relative difference up to which costs count as equal.
const alike = 0.02

// inOrder returns the candidates by cost, those of equal cost by simplicity, then by shortfall.
func (q Question) inOrder(of []Candidate) []Candidate {
	left := slices.Clone(of)
	var ordered []Candidate
	for len(left) > 0 {
		cheapest := slices.MinFunc(left, func(a, b Candidate) int { return cmp.Compare(a.attempts(), b.attempts()) }).attempts()
		next := -1
		for i, c := range left {
			if c.attempts() <= cheapest*(1+alike) && (next < 0 || q.simpler(c, left[next])) {
				next = i
			}
		}
		ordered = append(ordered, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return ordered
}

// simpler reports whether a sets fewer factors than b, or as many with a smaller shortfall.
func (q Question) simpler(a, b Candidate) bool {
	x, y := len(Policy(a.Settings)), len(Policy(b.Settings))
	return x < y || x == y && q.shortfall(a) < q.shortfall(b)
}
