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

// Calibrate measures a [Model] from the records of a real run: RoundTrip from attempts that were
// alone at their replica; Notice and Relaunch from crashes with one request in flight; Boot from
// the launches that follow. The service times, which are known from the seed, are left out. Records
// have no dials, so Connect and Refuse are the defaults; see [Model.SetDials]. The error names what
// the run has none of.
func Calibrate(run *record.Run) (Model, error) {
	d := run.Manifest.Design
	switch {
	case run.Manifest.Predicted():
		return Model{}, fmt.Errorf("%s was simulated: want a run on processes", run.Dir)
	case len(d.Schedule) > 0:
		return Model{}, fmt.Errorf("%s has a schedule of signals, which disturb what is measured: want a run without one", run.Dir)
	}
	lives := livesIn(run)
	m := DefaultModel()
	measure := func(part *Measurement, what string, samples []time.Duration) error {
		if len(samples) == 0 {
			return fmt.Errorf("%s has %s: want a run in which calls succeed, and replicas crash with one request in flight and are relaunched", run.Dir, what)
		}
		*part = measured(samples)
		return nil
	}
	if err := measure(&m.RoundTrip, "no call that was alone at its replica", collect(lives, (*life).roundTrips)); err != nil {
		return Model{}, err
	}
	half := time.Duration(m.RoundTrip.Median) / 2
	err := measure(&m.Notice, "no crash with one request in flight", collect(lives, func(l *life) []time.Duration { return l.notice(half) }))
	if err != nil {
		return Model{}, err
	}
	err = measure(&m.Relaunch, "no relaunch after such a crash", collect(lives, func(l *life) []time.Duration { return l.relaunch(half) }))
	if err != nil {
		return Model{}, err
	}
	err = measure(&m.Boot, "no replica that became ready again", collect(lives, (*life).boot))
	return m, err
}

// RoundTrip measures the RoundTrip of a [Model] alone: as Calibrate does, or, in a run whose calls
// were never alone, from attempts whose service time is known all the same.
func RoundTrip(run *record.Run) (Measurement, error) {
	lives := livesIn(run)
	samples := collect(lives, (*life).roundTrips)
	if len(samples) == 0 {
		samples = collect(lives, (*life).roundTripsBesideOthers)
	}
	if len(samples) == 0 {
		return Measurement{}, errors.New("no call whose service time is known, so the round trip is unknown")
	}
	return measured(samples), nil
}

// SetDials sets Connect and Refuse to what dials took that connected, and that were refused.
func (m *Model) SetDials(connected, refused []time.Duration) {
	if len(connected) > 0 {
		m.Connect = measured(connected)
	}
	if len(refused) > 0 {
		m.Refuse = measured(refused)
	}
}

func collect(lives []*life, of func(*life) []time.Duration) []time.Duration {
	var all []time.Duration
	for _, l := range lives {
		all = append(all, of(l)...)
	}
	return all
}

// measured returns the median, its interval by the ranks that the binomial distribution gives, in
// the normal approximation, and the spread.
func measured(samples []time.Duration) Measurement {
	for i := range samples {
		samples[i] = min(max(samples[i], 0), maxSpan) // clocks of several processes and threads are read
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

// life is what a trial has seen of one incarnation of a replica.
type life struct {
	settings    design.Settings
	plan        fault.Plan
	launched    time.Duration
	ready       time.Duration // zero: never
	relaunched  time.Duration // when the next incarnation was launched; zero: never
	count       record.Count
	attempts    []record.Attempt // that were sent to it, in the order of their starts
	values      map[int]uint64   // the counter's, by the index in attempts
	incarnation int
}

func livesIn(run *record.Run) []*life {
	var all []*life
	for _, t := range run.Trials {
		all = append(all, livesOf(t, run.Manifest.Design.Cells[t.Cell].Settings)...)
	}
	return all
}

// livesOf returns the lives in a trial of such settings.
func livesOf(t record.TrialRecords, s design.Settings) []*life {
	type key struct {
		replica     string
		incarnation int
	}
	byKey := map[key]*life{}
	var all []*life
	of := func(replica string, incarnation int) *life {
		k := key{replica, incarnation}
		if byKey[k] == nil {
			plan := fault.Plan{Seed: t.Seed, Replica: replica, Incarnation: uint64(incarnation)}
			byKey[k] = &life{settings: s, plan: plan, incarnation: incarnation, values: map[int]uint64{}}
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
		value uint64 // zero: none
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
		l := of(a.Replica, a.Incarnation)
		l.values[len(l.attempts)] = a.value
		l.attempts = append(l.attempts, a.Attempt)
	}
	return all
}

// work is the service time of the k-th request.
func (l *life) work(k uint64) time.Duration {
	return l.settings.ServiceTime.Quantile(l.plan.Draws(k).ServiceTime)
}

// roundTrips are those of attempts that were alone, and of which the counter's value confirms which
// request each was.
func (l *life) roundTrips() []time.Duration {
	var all []time.Duration
	var ended time.Duration // the last of those before
	for i, a := range l.attempts {
		alone := a.Start >= ended && (i+1 == len(l.attempts) || l.attempts[i+1].Start >= a.End())
		ended = max(ended, a.End())
		if k := uint64(i + 1); alone && l.values[i] == k {
			all = append(all, a.Duration-l.work(k))
		}
	}
	return all
}

// apart is how long before or after all others at its replica an attempt starts that is sure to
// arrive in this order.
const apart = 2 * time.Millisecond

// roundTripsBesideOthers are those of attempts that started apart from the others, or whose service
// time is the same whatever the order.
func (l *life) roundTripsBesideOthers() []time.Duration {
	if l.settings.Capacity > 0 {
		return nil // they may have queued
	}
	var all []time.Duration
	constant := l.work(1) == l.work(2) && l.work(2) == l.work(3)
	for i, a := range l.attempts {
		early := i == 0 || a.Start-l.attempts[i-1].Start >= apart
		late := i+1 == len(l.attempts) || l.attempts[i+1].Start-a.Start >= apart
		if a.Outcome == failover.OutcomeOK && (constant || early && late) {
			all = append(all, a.Duration-l.work(uint64(i+1)))
		}
	}
	return all
}

// crash returns the attempt that crashed the replica, and how long after its start, where that is
// known: nothing else was in flight.
func (l *life) crash(half time.Duration) (a record.Attempt, after time.Duration, known bool) {
	n := len(l.attempts)
	if l.count.Crash == 0 || l.count.InFlight > 0 || n == 0 || l.attempts[n-1].Outcome != failover.OutcomeLost {
		return record.Attempt{}, 0, false
	}
	after = half
	if l.settings.CrashPoint == fault.CrashPointReply {
		after += l.work(l.count.Crash)
	}
	return l.attempts[n-1], after, true
}

func (l *life) notice(half time.Duration) []time.Duration {
	a, after, known := l.crash(half)
	if !known {
		return nil
	}
	return []time.Duration{a.Duration - after}
}

func (l *life) relaunch(half time.Duration) []time.Duration {
	a, after, known := l.crash(half)
	if !known || l.relaunched == 0 {
		return nil
	}
	return []time.Duration{l.relaunched - a.Start - after - l.settings.RestartDelay}
}

// boot is until the supervisor or the client has found a relaunched replica listening, whichever
// was first.
func (l *life) boot() []time.Duration {
	var found []time.Duration
	if l.ready != 0 {
		found = append(found, l.ready-l.launched)
	}
	if len(l.attempts) > 0 {
		found = append(found, l.attempts[0].Start-l.launched)
	}
	if l.incarnation < 2 || len(found) == 0 {
		return nil
	}
	return []time.Duration{slices.Min(found)}
}
