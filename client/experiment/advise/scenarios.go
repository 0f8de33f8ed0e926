package advise

import (
	"fmt"
	"math/rand/v2"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/services/fault"
)

// Scenario returns the n-th of the random questions of a seed, to validate advice. Loads range up
// to slightly more than the capacity, and goals are close to the time of a restart, so that most
// policies miss them and some goals are impossible.
func Scenario(seed uint64, n int, m simulate.Model) Question {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	between := func(low, high float64) float64 { return digits(towards(low, high, random.Float64())) }
	ms := func(low, high float64) time.Duration { return time.Duration(between(low, high)) * time.Millisecond }

	s := design.Defaults()
	s.Replicas = 2 + random.IntN(4)
	s.PCrash = between(0.04, 0.4)
	s.CrashPoint = fault.CrashPoint(random.IntN(2))
	s.RestartDelay = ms(300, 3000)
	mean := ms(30, 300)
	s.ServiceTime = parse([]string{
		mean.String(), fmt.Sprintf("exp:%v", mean), fmt.Sprintf("uniform:%v:%v", mean/4, mean*7/4),
		fmt.Sprintf("values:%v:%v:%v:%v:%v", mean/4, mean/2, mean/2, mean, mean*11/4), // a long tail
	}[random.IntN(4)])

	capacity := oneInFlight(s, mean)
	wait := s.ServiceTime.Quantile(0.99) + s.RestartDelay
	if most := 20.0; random.IntN(2) == 0 {
		s.Rate = digits(min(capacity*towards(0.5, 1.3, random.Float64()), most)) // a higher rate would test the machine
	} else {
		s.Concurrency = 1 + random.IntN(3*s.Replicas)
		wait += time.Duration(float64(s.Concurrency) / capacity * float64(time.Second))
	}
	goal := Goal{Success: []float64{0.95, 0.98, 0.99, 0.995}[random.IntN(4)]}
	if p99 := nice(time.Duration(float64(wait) * towards(0.4, 2, random.Float64()))); random.IntN(5) > 0 {
		goal.P99 = max(p99, nice(s.ServiceTime.Quantile(0.99)))
	}
	return Question{Goal: goal, Settings: s, Model: m, Seed: seed}
}

// oneInFlight returns how many calls a second the replicas answer with one attempt in flight at
// each: between two crashes a replica answers (1-p)/p calls on average, and is then down.
func oneInFlight(s design.Settings, mean time.Duration) float64 {
	odds := (1 - s.PCrash) / s.PCrash
	worked := odds
	if s.CrashPoint == fault.CrashPointReply {
		worked++
	}
	return float64(s.Replicas) * odds / (worked*mean.Seconds() + s.RestartDelay.Seconds())
}

// Recommended returns the settings of the policy of failover.Recommended with the deadline of the
// other candidates, for comparison. It leaves out that policy's budget, which allows every retry at
// rates of a few calls a second.
func (q Question) Recommended() design.Settings {
	s := q.plain(q.Settings)
	s.Timeout, s.Pause = 0, 0
	s.Order, s.WhenDown, s.MaxInFlight = failover.OrderLeastInFlight, failover.WhenDownWait, design.Adaptive
	return s
}
