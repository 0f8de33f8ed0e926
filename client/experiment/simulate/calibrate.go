package simulate

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/event"
)

// Calibrate measures a [Model] from the records of a run on real processes: RoundTrip from attempts
// that were alone at their replica, Notice and Relaunch from crashes with one request in flight,
// and Boot from the launches that follow. It subtracts the service times, which the seed
// determines. Records have no dials, so Connect and Refuse keep their defaults until
// [Model.SetDials] sets them.
//
// It returns an error if the run is not a real one, has a schedule, or lacks one of these cases.
func Calibrate(run *record.Run) (Model, error) {
	d := run.Manifest.Design
	switch {
	case run.Manifest.Predicted():
		return Model{}, fmt.Errorf("%s was simulated: want a run on processes", run.Dir)
	case len(d.Schedule) > 0:
		return Model{}, fmt.Errorf("%s has a schedule of signals, which disturb what is measured: want a run without one", run.Dir)
	}
	seen := incarnations(run)
	m := DefaultModel()
	measure := func(part *Measurement, what string, samples []time.Duration) error {
		if len(samples) == 0 {
			return fmt.Errorf("%s has %s: want a run in which calls succeed, and replicas crash with one request in flight and are relaunched", run.Dir, what)
		}
		*part = measured(samples)
		return nil
	}
	if err := measure(&m.RoundTrip, "no call that was alone at its replica", collect(seen, (*incarnation).roundTrips)); err != nil {
		return Model{}, err
	}
	half := time.Duration(m.RoundTrip.Median) / 2
	err := measure(&m.Notice, "no crash with one request in flight", collect(seen, func(in *incarnation) []time.Duration { return in.notice(half) }))
	if err != nil {
		return Model{}, err
	}
	err = measure(&m.Relaunch, "no relaunch after such a crash", collect(seen, func(in *incarnation) []time.Duration { return in.relaunch(half) }))
	if err != nil {
		return Model{}, err
	}
	err = measure(&m.Boot, "no replica that became ready again", collect(seen, (*incarnation).boot))
	return m, err
}

// RoundTrip measures only the RoundTrip of a [Model]: as Calibrate does, or, if no call of the run
// was alone at its replica, from other attempts whose service time is known. It returns an error if
// there are none.
func RoundTrip(run *record.Run) (Measurement, error) {
	seen := incarnations(run)
	samples := collect(seen, (*incarnation).roundTrips)
	if len(samples) == 0 {
		samples = collect(seen, (*incarnation).roundTripsBesideOthers)
	}
	if len(samples) == 0 {
		return Measurement{}, errors.New("no call whose service time is known, so the round trip is unknown")
	}
	return measured(samples), nil
}

// SetDials measures Connect and Refuse from the times of dials that connected and of dials that
// were refused, such as those of Lab.Dials in package lab. It leaves a part unchanged if it has no
// samples.
func (m *Model) SetDials(connected, refused []time.Duration) {
	if len(connected) > 0 {
		m.Connect = measured(connected)
	}
	if len(refused) > 0 {
		m.Refuse = measured(refused)
	}
}

func collect(seen []*incarnation, of func(*incarnation) []time.Duration) []time.Duration {
	var all []time.Duration
	for _, in := range seen {
		all = append(all, of(in)...)
	}
	return all
}

// measured returns the median of samples, its 95% interval and the spread. The interval's ends are
// order statistics whose ranks come from the binomial distribution in the normal approximation
// (Conover, Practical Nonparametric Statistics, section 3.2).
func measured(samples []time.Duration) Measurement {
	for i := range samples {
		samples[i] = min(max(samples[i], 0), maxSpan) // differences between clocks may be negative
	}
	slices.Sort(samples)
	n := float64(len(samples))
	rank := func(r float64) Span { return Span(samples[min(max(int(r), 1), len(samples))-1]) }
	median := stats.Quantile(samples, 0.5)
	m := Measurement{
		Median: Span(median), N: count(len(samples)),
		Low: rank(math.Floor(n/2 - 0.98*math.Sqrt(n))), High: rank(math.Ceil(n/2 + 1 + 0.98*math.Sqrt(n))),
	}
	for i := range min(maxSpread, len(samples)) {
		q := stats.Quantile(samples, (float64(i)+0.5)/min(n, maxSpread))
		m.Spread = append(m.Spread, float64(q)/float64(max(median, 1)))
	}
	return m
}

// incarnation is the part of a trial's records that concerns one incarnation of a replica.
type incarnation struct {
	settings   design.Settings
	plan       fault.Plan
	launched   time.Duration
	ready      time.Duration // zero if it never was
	relaunched time.Duration // when the next incarnation was launched; zero if none was
	count      record.Count
	attempts   []record.Attempt // sent to it, in order of start
	values     map[int]uint64   // the counter's, by the index in attempts
	number     int
}

func incarnations(run *record.Run) []*incarnation {
	var all []*incarnation
	for _, t := range run.Trials {
		all = append(all, incarnationsOf(t, run.Manifest.Design.Cells[t.Cell].Settings)...)
	}
	return all
}

// incarnationsOf returns the incarnations of a trial with the given settings.
func incarnationsOf(t record.TrialRecords, s design.Settings) []*incarnation {
	type key struct {
		replica string
		number  int
	}
	byKey := map[key]*incarnation{}
	var all []*incarnation
	of := func(replica string, number int) *incarnation {
		k := key{replica, number}
		if byKey[k] == nil {
			plan := fault.Plan{Seed: t.Seed, Replica: replica, Incarnation: uint64(number)}
			byKey[k] = &incarnation{settings: s, plan: plan, number: number, values: map[int]uint64{}}
			all = append(all, byKey[k])
		}
		return byKey[k]
	}
	for _, e := range t.Events {
		switch p := e.Process; {
		case e.Count != nil:
			of(e.Count.Replica, e.Count.Incarnation).count = *e.Count
		case p == nil:
		case p.Kind == event.KindLaunched:
			of(p.Replica, p.Incarnation).launched = e.At
			of(p.Replica, p.Incarnation-1).relaunched = e.At
		case p.Kind == event.KindReady:
			of(p.Replica, p.Incarnation).ready = e.At
		}
	}
	type sent struct {
		record.Attempt
		value uint64 // zero if it has none
	}
	var attempts []sent
	for _, c := range t.Calls {
		for _, a := range c.Attempts {
			switch {
			case !a.Sent:
			case a.Outcome == failover.OutcomeOK && a.Replica == c.Replica:
				attempts = append(attempts, sent{a, c.Value})
			default:
				attempts = append(attempts, sent{a, 0})
			}
		}
	}
	slices.SortStableFunc(attempts, func(a, b sent) int { return int(a.Start - b.Start) })
	for _, a := range attempts {
		in := of(a.Replica, a.Incarnation)
		in.values[len(in.attempts)] = a.value
		in.attempts = append(in.attempts, a.Attempt)
	}
	return all
}

// work returns the service time of the k-th request.
func (in *incarnation) work(k uint64) time.Duration {
	return in.settings.ServiceTime.Quantile(in.plan.Draws(k).ServiceTime)
}

// roundTrips returns the round trips of attempts that were alone at the replica and whose number
// the counter's value confirms.
func (in *incarnation) roundTrips() []time.Duration {
	var all []time.Duration
	var ended time.Duration // the latest end of the attempts before
	for i, a := range in.attempts {
		alone := a.Start >= ended && (i+1 == len(in.attempts) || in.attempts[i+1].Start >= a.End())
		ended = max(ended, a.End())
		if k := uint64(i + 1); alone && in.values[i] == k {
			all = append(all, a.Duration-in.work(k))
		}
	}
	return all
}

// apart is the time between the starts of two attempts at a replica that are sure to arrive in this
// order.
const apart = 2 * time.Millisecond

// roundTripsBesideOthers returns the round trips of attempts that started apart from all others, or
// of all attempts if the service time is constant.
func (in *incarnation) roundTripsBesideOthers() []time.Duration {
	if in.settings.Capacity > 0 {
		return nil // attempts may have queued
	}
	var all []time.Duration
	constant := in.work(1) == in.work(2) && in.work(2) == in.work(3)
	for i, a := range in.attempts {
		early := i == 0 || a.Start-in.attempts[i-1].Start >= apart
		late := i+1 == len(in.attempts) || in.attempts[i+1].Start-a.Start >= apart
		if a.Outcome == failover.OutcomeOK && (constant || early && late) {
			all = append(all, a.Duration-in.work(uint64(i+1)))
		}
	}
	return all
}

// crash returns the attempt that crashed the replica and how long after the attempt's start it
// crashed. That is known only if nothing else was in flight.
func (in *incarnation) crash(half time.Duration) (a record.Attempt, after time.Duration, known bool) {
	n := len(in.attempts)
	if in.count.Crash == 0 || in.count.InFlight > 0 || n == 0 || in.attempts[n-1].Outcome != failover.OutcomeLost {
		return record.Attempt{}, 0, false
	}
	after = half
	if in.settings.CrashPoint == fault.CrashPointReply {
		after += in.work(in.count.Crash)
	}
	return in.attempts[n-1], after, true
}

func (in *incarnation) notice(half time.Duration) []time.Duration {
	a, after, known := in.crash(half)
	if !known {
		return nil
	}
	return []time.Duration{a.Duration - after}
}

func (in *incarnation) relaunch(half time.Duration) []time.Duration {
	a, after, known := in.crash(half)
	if !known || in.relaunched == 0 {
		return nil
	}
	return []time.Duration{in.relaunched - a.Start - after - in.settings.RestartDelay}
}

// boot returns the time from a relaunch until the supervisor or the client found the replica
// listening, whichever was first.
func (in *incarnation) boot() []time.Duration {
	var found []time.Duration
	if in.ready != 0 {
		found = append(found, in.ready-in.launched)
	}
	if len(in.attempts) > 0 {
		found = append(found, in.attempts[0].Start-in.launched)
	}
	if in.number < 2 || len(found) == 0 {
		return nil
	}
	return []time.Duration{slices.Min(found)}
}
