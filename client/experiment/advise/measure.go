package advise

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/event"
)

// Measured is what the records of a run say of its cluster.
type Measured struct {
	Requests, Crashes, Answers int // that the numbers below are made of

	PCrash       float64
	RestartDelay time.Duration // the median; design.Never: no replica that crashed came back
	Boot         time.Duration // from launch to ready, the median; zero: unknown
	// ServiceTime is the constant, uniform or exponential distribution that fits the service times
	// the best, or where none fits the measured ones themselves.
	ServiceTime fault.Distribution
	Fitted      bool
}

// misfit is how far the service times may be from a distribution that fits: the greatest distance
// of the two cumulative distributions (Kolmogorov and Smirnov).
const misfit = 0.1

// Measure reads what a run says of its cluster. The run is taken as a whole, so it must be of one
// cluster: each cell with the same crash probability, crash point, service time and restart delay.
func Measure(run *record.Run, m simulate.Model) (Measured, error) {
	r := reading{model: m, point: run.Manifest.Design.Cells[0].Settings.CrashPoint}
	for _, t := range run.Trials {
		r.readCalls(t.Calls)
		r.readEvents(t.Events)
	}
	switch {
	case r.requests == 0:
		return Measured{}, fmt.Errorf("no replica has reported its requests: the crash rate is unknown")
	case len(r.answers) == 0:
		return Measured{}, fmt.Errorf("no attempt was answered: the service times are unknown")
	}
	found := Measured{
		Requests: r.requests, Crashes: r.crashes, Answers: len(r.answers),
		PCrash: rounded(float64(r.crashes) / float64(r.requests)), RestartDelay: design.Never, Boot: median(r.boots),
	}
	if len(r.gaps) > 0 {
		found.RestartDelay = max(median(r.gaps)-time.Duration(m.Relaunch.Median), 0).Round(time.Millisecond)
	}
	found.ServiceTime, found.Fitted = r.distribution()
	return found, nil
}

// rounded leaves a number three digits.
func rounded(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}

// reading collects the records of a run.
type reading struct {
	model    simulate.Model
	point    fault.CrashPoint
	requests int // that could have crashed their replica
	crashes  int
	gaps     []time.Duration // from a crash to the relaunch
	boots    []time.Duration
	answers  []time.Duration // service times of the requests that were answered
	worked   time.Duration   // on requests that were not, as their replica crashed
}

func (r *reading) readCalls(calls []record.Call) {
	for _, c := range calls {
		for _, a := range c.Attempts {
			worked := max(a.Duration-time.Duration(r.model.RoundTrip.Median), 0)
			switch {
			case a.Outcome == failover.OutcomeOK:
				r.answers = append(r.answers, worked)
			case a.Sent:
				r.worked += worked
			}
		}
	}
}

func (r *reading) readEvents(events []record.Event) {
	crashed := map[string]time.Duration{} // when a replica crashed that is not back
	for _, e := range events {
		if c := e.Count; c != nil {
			if c.Crash > 0 {
				r.crashes++
			}
			if r.point == fault.CrashPointArrival {
				r.requests += int(c.Arrived)
			} else {
				r.requests += int(c.Counted)
			}
		}
		p := e.Process
		if p == nil {
			continue
		}
		switch p.Kind {
		case event.KindExited:
			if p.Exit.Code == 1 {
				crashed[p.Replica] = e.At
			}
		case event.KindLaunched:
			if at, ok := crashed[p.Replica]; ok {
				r.gaps = append(r.gaps, e.At-at)
				delete(crashed, p.Replica)
			}
		case event.KindReady:
			r.boots = append(r.boots, p.After)
		}
	}
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return stats.Quantile(of, 0.5)
}

// distribution returns the distribution of the answers, and whether it is one that fits.
func (r *reading) distribution() (fault.Distribution, bool) {
	slices.Sort(r.answers)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	// The ends of a uniform distribution follow from quantiles: the extremes may be stalls of the
	// machine.
	low, middle, high := stats.Quantile(r.answers, 0.05), stats.Quantile(r.answers, 0.5), stats.Quantile(r.answers, 0.95)
	least, most := max(low-(high-low)/18, 0), high+(high-low)/18
	if high-low < 2*time.Millisecond {
		return parse(round(middle).String()), true // the machine's own noise is of this size
	}
	var sum time.Duration
	for _, a := range r.answers {
		sum += a
	}
	n := time.Duration(len(r.answers))
	shapes := []string{round(middle).String(), fmt.Sprintf("uniform:%v:%v", round(least), round(most)), fmt.Sprintf("exp:%v", round(sum/n))}
	best, nearest := 0, math.Inf(1)
	for i, text := range shapes {
		if d := distance(r.answers, parse(text)); d < nearest {
			best, nearest = i, d
		}
	}
	if nearest > misfit {
		return fault.Values(r.answers, 100), false // few enough to be read
	}
	// Requests that a crash cut off were slower ones than those that were answered. The work that
	// was seen of them adds to the mean of an exponential (its maximum-likelihood estimate under
	// censoring).
	shapes[2] = fmt.Sprintf("exp:%v", round((sum+r.worked)/n))
	return parse(shapes[best]), true
}

// parse returns the distribution of a text that is one.
func parse(text string) fault.Distribution {
	var d fault.Distribution
	if err := d.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return d
}

// distance returns the Kolmogorov-Smirnov distance of sorted values from a distribution.
func distance(sorted []time.Duration, d fault.Distribution) float64 {
	const points = 200
	worst := 0.0
	for i := range points {
		u := (float64(i) + 0.5) / points
		below, _ := slices.BinarySearch(sorted, d.Quantile(u))
		worst = max(worst, math.Abs(float64(below)/float64(len(sorted))-u))
	}
	return worst
}
