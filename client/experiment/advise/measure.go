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

// Measured describes the cluster of a run, as its records show it.
type Measured struct {
	Requests, Crashes, Answers int // sample sizes: requests that could crash, crashes, answered attempts

	PCrash       float64       // share of requests that crashed their replica, rounded to three digits
	RestartDelay time.Duration // median; design.Never if no replica that crashed came back
	Boot         time.Duration // median time from launch to ready; zero if unknown
	// ServiceTime is the constant, uniform or exponential distribution that fits the service times
	// best, or the measured service times if none fits.
	ServiceTime fault.Distribution
	// Fitted reports whether ServiceTime is one of the three distributions.
	Fitted bool
}

// misfit is the greatest Kolmogorov-Smirnov distance between the service times and a distribution
// that fits.
const misfit = 0.1

// Measure measures the cluster of a run. All cells of the run must have the same crash probability,
// crash point, service time and restart delay, because Measure pools them. It returns an error if
// no replica reported its requests or no attempt was answered.
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

// rounded rounds a number to three significant digits.
func rounded(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}

// reading collects the records of a run.
type reading struct {
	model    simulate.Model
	point    fault.CrashPoint
	requests int // requests that could crash their replica
	crashes  int
	gaps     []time.Duration // from a crash to the relaunch
	boots    []time.Duration
	answers  []time.Duration // service times of answered requests
	worked   time.Duration   // total work on requests that were sent but not answered
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
	crashed := map[string]time.Duration{} // when each replica crashed that is down
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

// distribution returns the distribution of the service times, and whether it is a fitted one.
func (r *reading) distribution() (fault.Distribution, bool) {
	slices.Sort(r.answers)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	// Estimate the ends of a uniform distribution from quantiles, because the extremes may be
	// stalls of the machine.
	low, middle, high := stats.Quantile(r.answers, 0.05), stats.Quantile(r.answers, 0.5), stats.Quantile(r.answers, 0.95)
	least, most := max(low-(high-low)/18, 0), high+(high-low)/18
	if high-low < 2*time.Millisecond {
		return parse(round(middle).String()), true // the machine's noise is as great
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
		return fault.Values(r.answers, 100), false // few enough for a person to read
	}
	// Crashes cut off long requests more often than short ones. The maximum-likelihood estimate of
	// an exponential distribution's mean under censoring adds the work on unanswered requests.
	shapes[2] = fmt.Sprintf("exp:%v", round((sum+r.worked)/n))
	return parse(shapes[best]), true
}

// parse parses a distribution that is known to be valid.
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
