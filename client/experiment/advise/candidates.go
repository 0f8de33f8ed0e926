package advise

import (
	"math"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
)

// policyFactors are the factors of a policy, in the order in which it is written.
var policyFactors = []string{
	"timeout", "deadline", "rounds", "pause", "order", "when_down", "max_in_flight", "budget", "budget_per_second", "budget_burst",
	"eject_after", "hedge_after", "only_unsent",
}

// Policy returns the factors of the policy in s that differ from their defaults.
func Policy(s design.Settings) []design.Level {
	var levels []design.Level
	defaults := design.Defaults()
	for _, f := range policyFactors {
		value, _ := s.Value(f)
		if byDefault, _ := defaults.Value(f); value != byDefault {
			levels = append(levels, design.Level{Factor: f, Value: value})
		}
	}
	return levels
}

// scale has the durations from which the candidates' durations are derived.
type scale struct {
	restart  time.Duration // downtime of a replica after a crash
	typical  time.Duration // 95th percentile of the service time
	slow     time.Duration // 99.99th percentile of the service time
	deadline time.Duration
}

func (q Question) scale(s design.Settings) scale {
	c := scale{restart: max(s.RestartDelay, 0) + time.Duration(q.Model.Boot.Median), typical: s.ServiceTime.Quantile(0.95), slow: s.ServiceTime.Quantile(0.9999)}
	c.deadline = 2 * q.Goal.P99
	if c.deadline == 0 {
		c.deadline = nice(max(10*(c.restart+c.slow), time.Second))
	}
	return c
}

// plain returns the policy from which all candidates derive: the default one with a deadline and a
// timeout that healthy replicas meet.
func (q Question) plain(s design.Settings) design.Settings {
	d, c := design.Defaults(), q.scale(s)
	d.Replicas, d.PCrash, d.CrashPoint, d.ServiceTime, d.Capacity, d.RestartDelay = s.Replicas, s.PCrash, s.CrashPoint, s.ServiceTime, s.Capacity, s.RestartDelay
	d.Concurrency, d.Rate, d.Arrivals = s.Concurrency, s.Rate, s.Arrivals
	d.Calls = q.calls(s)
	d.Deadline = c.deadline
	if c.slow > d.Timeout*4/5 {
		d.Timeout = nice(c.slow * 3 / 2)
	}
	return d
}

// maxCalls is the greatest number of calls in a trial.
const maxCalls = 5000

// calls returns how many calls a trial makes: enough for a p99, and in an open loop for several
// crashes and their consequences.
func (q Question) calls(s design.Settings) int {
	const least = 200
	if s.Rate == 0 {
		return min(max(least, 20*s.Concurrency), maxCalls)
	}
	span := max(30*time.Second, 10*max(s.RestartDelay, 0), 4*q.Goal.P99)
	return int(min(max(least, math.Ceil(s.Rate*span.Seconds())), maxCalls))
}

// coarse returns the first grid of policies. They differ in the most important factors: whether
// calls wait, how many are in flight, and how many rounds they make.
func (q Question) coarse(s design.Settings) []design.Settings {
	limits := []int{0, 1, 2, 4, 8, design.Adaptive}
	if !slices.Contains(limits, s.Capacity) {
		limits = append(limits, s.Capacity)
	}
	var all []design.Settings
	for _, order := range []failover.Order{failover.OrderFirst, failover.OrderRoundRobin, failover.OrderLeastInFlight} {
		all = append(all, q.waiting(s, order, 3, limits)...)
		all = append(all, q.waiting(s, order, 10, limits)...)
		all = append(all, q.attempting(s, order, []int{0, 1, design.Adaptive})...)
	}
	return all
}

// sketch returns a few policies that differ widely, for a quick answer.
func (q Question) sketch(s design.Settings) []design.Settings {
	all := q.waiting(s, failover.OrderFirst, 10, []int{1, 2, 4, design.Adaptive})
	if s.Capacity > 0 {
		all = append(all, q.waiting(s, failover.OrderFirst, 10, []int{s.Capacity})...)
	}
	return append(all, q.attempting(s, failover.OrderRoundRobin, []int{0})...)
}

// waiting returns policies that wait for a replica, one for each limit of attempts in flight.
func (q Question) waiting(s design.Settings, order failover.Order, rounds int, limits []int) []design.Settings {
	var all []design.Settings
	for _, limit := range limits {
		c := q.plain(s)
		c.Order, c.WhenDown, c.MaxInFlight, c.Rounds = order, failover.WhenDownWait, limit, rounds
		all = append(all, c)
	}
	return all
}

// attempting returns policies that do not wait for a replica, three for each limit of attempts in
// flight.
func (q Question) attempting(s design.Settings, order failover.Order, limits []int) []design.Settings {
	var all []design.Settings
	for _, limit := range limits {
		c := q.plain(s)
		c.Order, c.MaxInFlight = order, limit
		all = append(all, c)
		c.Rounds = 10
		all = append(all, c)
		c.Pause = max(nice(q.scale(s).restart/4), 50*time.Millisecond)
		c.Rounds = min(int(c.Deadline/c.Pause)+1, 100)
		all = append(all, c)
	}
	return all
}

// near returns the policies that differ from one in a single factor.
func (q Question) near(s design.Settings) []design.Settings {
	var all []design.Settings
	change := func(change func(*design.Settings)) {
		c := s
		if change(&c); c != s && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	c := q.scale(s)
	for _, n := range []time.Duration{2, 3, 8} { // quarters of the common deadline
		change(func(s *design.Settings) { s.Deadline = c.deadline * n / 4 })
	}
	change(func(s *design.Settings) { s.Timeout = 0 })
	for _, timeout := range []time.Duration{nice(c.typical * 5 / 4), nice(2 * c.typical), nice(2 * c.slow)} {
		if timeout > 0 {
			change(func(s *design.Settings) { s.Timeout = timeout })
		}
	}
	for _, pause := range []time.Duration{0, 50 * time.Millisecond, nice(c.restart / 2), nice(c.restart)} {
		change(func(s *design.Settings) { s.Pause = pause })
	}
	for _, rounds := range []int{1, 5, 30} {
		change(func(s *design.Settings) { s.Rounds = rounds })
	}
	for _, order := range []failover.Order{failover.OrderRandom, failover.OrderSticky} {
		change(func(s *design.Settings) { s.Order = order })
	}
	for _, budget := range []float64{0.2, 0.5, 1} {
		change(func(s *design.Settings) { s.Budget = budget })
	}
	if s.MaxInFlight > 1 {
		change(func(s *design.Settings) { s.MaxInFlight = s.MaxInFlight * 3 / 2 })
		change(func(s *design.Settings) { s.MaxInFlight = s.MaxInFlight * 3 / 4 })
	}
	if c.typical > 0 {
		change(func(s *design.Settings) { s.HedgeAfter = nice(c.typical) })
	}
	return all
}

// nice rounds a duration up to two significant digits.
func nice(d time.Duration) time.Duration {
	unit := time.Microsecond
	for d > 100*unit {
		unit *= 10
	}
	return (d + unit - 1) / unit * unit
}
