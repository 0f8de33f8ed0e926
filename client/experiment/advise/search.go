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

// search is the search for one answer.
type search struct {
	Question
	engine simulate.Engine
}

// How many trials a candidate has in each stage of the search, and how many remain for the next
// one.
const (
	firstTrials, firstLeft   = 2, 12
	secondTrials, secondLeft = 8, 6
)

// hopeless is a shortfall that no change of a single factor of a policy makes good.
const hopeless = 30

// longer is how many times the calls of a trial are made in the last stage, where a queue that
// grows slowly must show.
const longer = 4

// mostLast is how many trials a candidate has in the last stage at most.
const mostLast = 200

// lastTrials is how many trials of the last stage it takes until the interval of a candidate that
// meets the goal easily is within it.
func (q Question) lastTrials() int {
	const least = 24
	if q.Goal.Success == 0 {
		return least
	}
	return min(max(least, int(10/(1-q.Goal.Success))/(longer*q.calls(q.Settings))), mostLast)
}

// find returns the candidates that were looked at for long, the best first.
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

// Candidates that miss the goal by so little, or by their intervals alone, are tried so many times
// more often.
const (
	unclear       = 1.1
	unclearTrials = 4
)

// again tries candidates in other trials.
func (s *search) again(ctx context.Context, of []Candidate, trials int) ([]Candidate, error) {
	var settings []design.Settings
	for _, c := range of {
		settings = append(settings, c.Settings)
	}
	return s.evaluate(ctx, settings, trials)
}

// last tries candidates in many long trials.
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

// evaluate simulates a number of trials of each candidate.
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
	c.Safe = c.Held && (s.Goal.Success == 0 || failures <= spareFailures*(1-s.Goal.Success)) &&
		(s.Goal.P99 == 0 || p99 <= spareP99*s.Goal.P99.Seconds())
	return c, nil
}

// What a safe candidate uses of the failures that are allowed, and of the p99, at most.
const (
	spareFailures = 0.5
	spareP99      = 0.9
)

// high is the upper end of a latency. Where it is infinite, as no trial differed from the others, a
// simulation has shown all that there is.
func high(i stats.Interval) float64 {
	if i.N > 1 && !i.Bounded() {
		return i.Estimate
	}
	return i.High
}

// shortfall is how far the estimates of a candidate are from the goal: at most 1 is met, 2 are
// twice the failures that are allowed, or twice the latency.
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

// best returns those of the candidates that are to be looked at for longer: two thirds of them the
// cheapest that may meet the goal, where a shortfall up to slack may be the bad luck of few trials,
// the others those that meet it best. Of those that did the same, one is enough.
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
			if len(chosen) < n && !slices.ContainsFunc(chosen, c.didTheSame) {
				chosen = append(chosen, c)
			}
		}
	}
	choose(q.inOrder(closest[:met]), (2*n+2)/3)
	choose(closest, n)
	return chosen
}

// didTheSame reports whether the trials of both had the same results: what differs between their
// policies had no effect.
func (c Candidate) didTheSame(other Candidate) bool {
	return maps.EqualFunc(c.Metrics, other.Metrics, func(a, b stats.Interval) bool { return a.Estimate == b.Estimate })
}

// rank puts those that are safe first, in order of preference, then the others that meet the goal,
// and then those that do not, the farthest within the goal and the closest to it first.
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

// alike is by how much the costs of candidates may differ that count as equal.
const alike = 0.02

// inOrder returns the candidates by cost; of those that cost the same the simplest comes first,
// then the one that is the farthest within the goal.
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

func (q Question) simpler(a, b Candidate) bool {
	x, y := len(Policy(a.Settings)), len(Policy(b.Settings))
	return x < y || x == y && q.shortfall(a) < q.shortfall(b)
}
