package design

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/services/fault"
)

// Settings are the values of all factors in a trial. [Factors] lists their names in files and
// describes them.
//
// Their JSON is an object with a string for each factor, spelled as in a design file. A missing
// factor has its value in [Defaults].
type Settings struct {
	// The cluster.

	Replicas     int
	PCrash       float64 // probability, from 0 to 1
	CrashPoint   fault.CrashPoint
	ServiceTime  fault.Distribution
	Capacity     int           // requests that a replica works on at a time, while others queue; 0: unlimited
	RestartDelay time.Duration // Never: it stays down

	// The client's policy.

	Timeout         time.Duration // of an attempt; 0: none
	Deadline        time.Duration // of a call; 0: none
	Rounds          int
	Pause           time.Duration
	Order           failover.Order
	WhenDown        failover.WhenDown
	MaxInFlight     int     // 0: unlimited; Adaptive: learned
	Budget          float64 // from 0 to 1; no limit if all three of the budget are 0
	BudgetPerSecond float64
	BudgetBurst     int           // 0: 20
	EjectAfter      int           // 0: never
	HedgeAfter      time.Duration // 0: never
	OnlyUnsent      bool

	// The load.

	Concurrency int     // callers of a closed loop; ignored if Rate is set
	Rate        float64 // calls per second of an open loop; 0: closed loop
	Arrivals    workload.Arrivals
	Calls       int           // 0: as many as start within Duration
	Duration    time.Duration // 0: until all Calls are made
	Warmup      time.Duration
}

const (
	// Never is a RestartDelay: no relaunch.
	Never time.Duration = -1
	// Adaptive is a MaxInFlight: learned from crashes.
	Adaptive = -1
)

// Defaults returns the settings of the original lab, which apply to factors that a design does not
// name. In a design that names a duration but no calls, calls is 0.
func Defaults() Settings {
	return Settings{
		Replicas: 3, RestartDelay: Never,
		Timeout: time.Second, Rounds: 3, Pause: 200 * time.Millisecond, EjectAfter: 3,
		Concurrency: 5, Calls: 50,
	}
}

// Policy returns the client's policy.
func (s Settings) Policy() failover.Policy {
	p := failover.Policy{
		Timeout:       s.Timeout,
		Rounds:        s.Rounds,
		Pause:         s.Pause,
		Order:         s.Order,
		WhenDown:      s.WhenDown,
		MaxInFlight:   s.MaxInFlight,
		AdaptiveLimit: s.MaxInFlight == Adaptive,
		Budget:        failover.Budget{Ratio: s.Budget, PerSecond: s.BudgetPerSecond, Burst: s.BudgetBurst},
		Ejection:      failover.Ejection{After: s.EjectAfter, Off: s.EjectAfter == 0},
		Hedge:         failover.Hedge{After: s.HedgeAfter, Share: 1},
	}
	if p.AdaptiveLimit {
		p.MaxInFlight = 0
	}
	if s.OnlyUnsent {
		p.Idempotent = map[string]bool{"/": false}
	}
	return p
}

// Plan returns the load. The seed determines Poisson arrivals.
func (s Settings) Plan(seed uint64) workload.Plan {
	return workload.Plan{
		Calls: s.Calls, Duration: s.Duration, Workers: s.Concurrency, Rate: s.Rate, Arrivals: s.Arrivals,
		Seed: seed, Warmup: s.Warmup,
	}
}

// Value returns the value of a factor, spelled as in a file. It returns false if there is no such
// factor.
func (s Settings) Value(factor string) (string, bool) {
	f, err := findFactor(factor)
	if err != nil {
		return "", false
	}
	return f.get(&s), true
}

// MarshalJSON returns an object of strings.
func (s Settings) MarshalJSON() ([]byte, error) {
	values := make(map[string]string, len(factors))
	for _, f := range factors {
		values[f.Name] = f.get(&s)
	}
	return json.Marshal(values)
}

// UnmarshalJSON reads the output of MarshalJSON. It fails for an unknown factor or an invalid
// value.
func (s *Settings) UnmarshalJSON(data []byte) error {
	var values map[string]string
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	*s = Defaults()
	for name, value := range values {
		f, err := findFactor(name)
		if err != nil {
			return err
		}
		if err := f.set(s, value); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	return nil
}

// check returns the factor at fault and what is wrong if the values of several factors contradict
// each other, and empty strings otherwise.
func (s Settings) check() (factor, what string) {
	switch {
	case s.Calls == 0 && s.Duration == 0:
		return "calls", "calls 0 and duration 0s: want one of them above, or the load has no end"
	case s.Warmup > 0 && s.Duration > 0 && s.Warmup >= s.Duration:
		return "warmup", fmt.Sprintf("warmup %s: want less than the duration of %s", spellDuration(s.Warmup), spellDuration(s.Duration))
	case s.Warmup > 0 && s.Rate > 0 && s.Calls > 0 && s.Warmup.Seconds()*s.Rate >= float64(s.Calls):
		return "warmup", fmt.Sprintf("warmup %s: want less, as all %d calls are due in it", spellDuration(s.Warmup), s.Calls)
	}
	if err := s.Plan(0).Validate(); err != nil {
		factor, _, _ = strings.Cut(err.Error(), " ")
		return factor, err.Error()
	}
	return "", ""
}
