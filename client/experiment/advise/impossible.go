package advise

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
)

// capacity returns how many calls a second the replicas can answer with the best limit of attempts
// in flight at each. It returns zero if replicas that crash stay down, or if the capacity is far
// above the load.
func (s *search) capacity(ctx context.Context, of design.Settings) (float64, error) {
	if of.PCrash > 0 && of.RestartDelay == design.Never {
		return 0, nil
	}
	best := 0.0
	for limit := 1; limit <= 256; limit *= 2 {
		c := s.plain(of)
		c.Timeout, c.Deadline, c.Pause, c.Rounds, c.EjectAfter = 0, 24*time.Hour, 0, 1000, 0
		c.Order, c.WhenDown, c.MaxInFlight = failover.OrderLeastInFlight, failover.WhenDownWait, limit
		c.Rate, c.Arrivals, c.Concurrency = 0, 0, 4*c.Replicas*limit
		c.Calls, c.Duration = 2000, 1000*time.Second
		found, err := s.try(ctx, c, 2)
		if err != nil {
			return 0, err
		}
		now := found.Metrics[design.Throughput].Estimate
		switch {
		case now < best:
			return best, nil
		case of.Rate > 0 && now > 10*of.Rate, of.Rate == 0 && c.Replicas*limit >= 2*of.Concurrency:
			return 0, nil
		}
		best = now
	}
	return best, nil
}

// uses returns how much of each constraint a candidate uses, in descending order.
func (q Question) uses(c Candidate, capacity float64) []Use {
	var uses []Use
	if i, ok := c.Metrics[design.Success]; ok && q.Goal.Success > 0 {
		uses = append(uses, Use{"failures allowed", (1 - i.Low) / (1 - q.Goal.Success)})
	}
	if i, ok := c.Metrics[design.P99]; ok && q.Goal.P99 > 0 {
		uses = append(uses, Use{"p99", high(i) / q.Goal.P99.Seconds()})
	}
	if capacity > 0 && q.Settings.Rate > 0 {
		uses = append(uses, Use{"capacity", q.Settings.Rate / capacity})
	}
	slices.SortStableFunc(uses, func(a, b Use) int { return int(math.Copysign(1, b.Share-a.Share)) })
	return uses
}

// reasons returns why the goal cannot be met, where c is the candidate that comes closest.
func (q Question) reasons(c Candidate, capacity float64) []string {
	s := q.Settings
	switch {
	case s.PCrash > 0 && s.RestartDelay == design.Never:
		return []string{q.NoRestart()}
	case capacity > 0 && s.Rate > capacity:
		return []string{fmt.Sprintf("capacity %.3g calls/s at most, %.3g asked", capacity, s.Rate)}
	}
	var reasons []string
	if capacity > 0 && s.Rate == 0 {
		each := time.Duration(float64(s.Concurrency) / capacity * float64(time.Second))
		reasons = append(reasons, fmt.Sprintf("capacity %.3g calls/s at most: each call of %d callers takes %v on average", capacity, s.Concurrency, nice(each)))
	}
	if i := c.Metrics[design.Success]; q.Goal.Success > 0 && i.Low < q.Goal.Success {
		best := fmt.Sprintf("%.4g%%", 100*i.Estimate)
		if i.Estimate >= q.Goal.Success {
			best = fmt.Sprintf("%.4g to %.4g%%", 100*i.Low, 100*i.High)
		}
		reasons = append(reasons, fmt.Sprintf("success %s at best, %.6g%% asked", best, 100*q.Goal.Success))
	}
	if i, ok := c.Metrics[design.P99]; ok && q.Goal.P99 > 0 && high(i) > q.Goal.P99.Seconds() {
		perSecond, unit := 1.0, "s" // of all times in the line
		if high(i) < 0.999 {
			perSecond, unit = 1000, "ms"
		}
		best := fmt.Sprintf("%.3g%s", i.Estimate*perSecond, unit)
		if i.Estimate <= q.Goal.P99.Seconds() {
			best = fmt.Sprintf("%.3g to %.3g%s", i.Low*perSecond, i.High*perSecond, unit)
		}
		reasons = append(reasons, fmt.Sprintf("p99 %s at best, %.3g%s asked", best, q.Goal.P99.Seconds()*perSecond, unit))
	}
	return reasons
}

// NoRestart returns a line that says after how many calls no replica is left, or an empty string if
// replicas are relaunched or do not crash.
func (q Question) NoRestart() string {
	s := q.Settings
	if s.PCrash == 0 || s.RestartDelay != design.Never {
		return ""
	}
	return fmt.Sprintf("no restart: all replicas (%d) are down after about %.0f calls", s.Replicas, float64(s.Replicas)*(1-s.PCrash)/s.PCrash)
}

// Remedy says whether the change of one factor alone makes the goal possible.
type Remedy struct {
	Factor string
	// Value is the value, as in a design, from which on the goal is possible. Empty means that no
	// value makes it possible.
	Value string
	// Limit is the most extreme value that was tried.
	Limit string
}

// change is a possible change of a factor. Its argument x ranges from 0, the factor's present
// value, to 1, the value that helps most.
type change struct {
	factor string
	set    func(s *design.Settings, x float64)
}

// changes returns the changes that may help.
func (q Question) changes() []change {
	now := q.Settings
	var all []change
	if now.Replicas < maxReplicas {
		all = append(all, change{"replicas", func(s *design.Settings, x float64) {
			s.Replicas = int(math.Round(towards(float64(now.Replicas), maxReplicas, x)))
		}})
	}
	if now.PCrash > 0 {
		delay := now.RestartDelay
		if delay == design.Never {
			delay = time.Minute
		}
		if delay > time.Millisecond {
			all = append(all, change{"restart_delay", func(s *design.Settings, x float64) {
				s.RestartDelay = time.Duration(digits(towards(float64(delay), float64(time.Millisecond), x)))
			}})
		}
		all = append(all, change{"p_crash", func(s *design.Settings, x float64) { s.PCrash = digits(towards(now.PCrash, now.PCrash/1e4, x)) }})
	}
	if now.Rate > 0 {
		all = append(all, change{"rate", func(s *design.Settings, x float64) { s.Rate = digits(towards(now.Rate, now.Rate/100, x)) }})
	} else if now.Concurrency > 1 {
		all = append(all, change{"concurrency", func(s *design.Settings, x float64) {
			s.Concurrency = int(math.Round(towards(float64(now.Concurrency), 1, x)))
		}})
	}
	return all
}

const maxReplicas = 26 // of a design

// towards interpolates between from, where x is 0, and to, where x is 1, on a logarithmic scale.
func towards(from, to, x float64) float64 { return from * math.Pow(to/from, x) }

// digits truncates a number to two significant digits.
func digits(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(math.Floor(v/unit+1e-9)*unit*1e9) / 1e9
}

// remedies returns a remedy for each factor that may help.
func (s *search) remedies(ctx context.Context) ([]Remedy, error) {
	var all []Remedy
	for _, c := range s.changes() {
		r, err := s.remedy(ctx, c)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// steps is the number of bisections of a change.
const steps = 6

// remedy finds by bisection the smallest change that makes the goal possible.
func (s *search) remedy(ctx context.Context, c change) (Remedy, error) {
	value := func(x float64) (design.Settings, string) {
		changed := s.Settings
		c.set(&changed, x)
		text, _ := changed.Value(c.factor)
		return changed, text
	}
	farthest, limit := value(1)
	r := Remedy{Factor: c.factor, Limit: limit}
	ok, err := s.possible(ctx, farthest)
	if err != nil || !ok {
		return r, err
	}
	r.Value = limit
	low, high := 0.0, 1.0 // impossible, possible
	for range steps {
		x := (low + high) / 2
		changed, text := value(x)
		if text == r.Value {
			high = x
			continue
		}
		if ok, err = s.possible(ctx, changed); err != nil {
			return r, err
		}
		if ok {
			high, r.Value = x, text
		} else {
			low = x
		}
	}
	return r, nil
}

// possible reports whether a policy of the sketch meets the goal with the given settings.
func (s *search) possible(ctx context.Context, of design.Settings) (bool, error) {
	q := *s
	q.Settings = of
	tried, err := q.evaluate(ctx, q.sketch(of), firstTrials)
	if err != nil {
		return false, err
	}
	if tried, err = q.again(ctx, q.within(q.best(tried, 3, 3), 3), secondTrials); err != nil {
		return false, err
	}
	if tried = q.within(tried, 1.5); len(tried) == 0 {
		return false, nil
	}
	closest := slices.MinFunc(tried, func(a, b Candidate) int { return cmp.Compare(q.shortfall(a), q.shortfall(b)) })
	tried, err = q.last(ctx, []Candidate{closest}, q.lastTrials())
	return err == nil && tried[0].Held, err
}

// within returns the candidates with a shortfall of at most slack.
func (q Question) within(of []Candidate, slack float64) []Candidate {
	return slices.DeleteFunc(slices.Clone(of), func(c Candidate) bool { return q.shortfall(c) > slack })
}
