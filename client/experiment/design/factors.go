package design

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/services/fault"
)

// Factor is something that a design can vary.
type Factor struct {
	Name string
	// Doc describes the factor, its unit and its zero value, in a few words.
	Doc string
	access
}

// access reads and writes one factor of settings, spelled as in a file. An invalid value changes
// nothing; the error quotes it and says what is allowed.
type access struct {
	get func(*Settings) string
	set func(*Settings, string) error
}

// Factors returns all factors, in the order in which they are listed.
func Factors() []Factor { return slices.Clone(factors) }

// factors is the only list of factors: files, JSON, claims and errors derive from it.
var factors = []Factor{
	{"replicas", "how many replicas, named a, b, c ...",
		accessTo(func(s *Settings) *int { return &s.Replicas }, whole(1, 26))},
	{"p_crash", "probability that a request crashes its replica, from 0 to 1",
		accessTo(func(s *Settings) *float64 { return &s.PCrash }, number(1))},
	{"crash_point", "when a crash happens: arrival (before the work) or reply (after the work, before the reply)",
		accessTo(func(s *Settings) *fault.CrashPoint { return &s.CrashPoint }, text[fault.CrashPoint]())},
	{"service_time", "how long a request's work takes: 0s, 50ms, uniform:50ms:500ms, exp:100ms, or file:PATH of measured times",
		accessTo(func(s *Settings) *fault.Distribution { return &s.ServiceTime }, distribution)},
	{"capacity", "how many requests a replica works on at a time, while others queue; 0 is unlimited",
		accessTo(func(s *Settings) *int { return &s.Capacity }, whole(0, 1e6))},
	{"restart_delay", "time from a replica's exit to its relaunch; none: it stays down",
		accessTo(func(s *Settings) *time.Duration { return &s.RestartDelay }, or(duration, "none", Never))},

	{"timeout", "time limit of an attempt; 0s is none",
		accessTo(func(s *Settings) *time.Duration { return &s.Timeout }, duration)},
	{"deadline", "time limit of a call with all its attempts and waits; 0s is none",
		accessTo(func(s *Settings) *time.Duration { return &s.Deadline }, duration)},
	{"rounds", "how many times a call goes through the replicas",
		accessTo(func(s *Settings) *int { return &s.Rounds }, whole(1, 1e6))},
	{"pause", "time between two rounds",
		accessTo(func(s *Settings) *time.Duration { return &s.Pause }, duration)},
	{"order", "which replica a call tries first: first, round-robin, random, least-in-flight or sticky",
		accessTo(func(s *Settings) *failover.Order { return &s.Order }, text[failover.Order]())},
	{"when_down", "what a call does when no replica is available: attempt (try one that is down) or wait",
		accessTo(func(s *Settings) *failover.WhenDown { return &s.WhenDown }, text[failover.WhenDown]())},
	{"max_in_flight", "how many attempts may be in flight at a replica; 0 is unlimited, adaptive learns a limit from crashes",
		accessTo(func(s *Settings) *int { return &s.MaxInFlight }, or(whole(0, 1e6), "adaptive", Adaptive))},
	{"budget", "how many retries each call adds to the budget of all calls, from 0 to 1; retries are unlimited if all three factors of the budget are 0",
		accessTo(func(s *Settings) *float64 { return &s.Budget }, number(1))},
	{"budget_per_second", "how many retries each second adds to the budget",
		accessTo(func(s *Settings) *float64 { return &s.BudgetPerSecond }, number(1e6))},
	{"budget_burst", "how many retries the budget holds; 0 is 20",
		accessTo(func(s *Settings) *int { return &s.BudgetBurst }, whole(0, 1e6))},
	{"eject_after", "after how many hung or failed attempts in a row a replica is ejected; 0 is never",
		accessTo(func(s *Settings) *int { return &s.EjectAfter }, whole(0, 1e6))},
	{"hedge_after", "how long to wait for a reply before trying a second replica as well; 0s is never",
		accessTo(func(s *Settings) *time.Duration { return &s.HedgeAfter }, duration)},
	{"only_unsent", "retry a call only if no byte of it was sent: true or false",
		accessTo(func(s *Settings) *bool { return &s.OnlyUnsent }, boolean)},

	{"concurrency", "how many callers a closed loop has, each with one call at a time",
		accessTo(func(s *Settings) *int { return &s.Concurrency }, whole(1, workload.MaxWorkers))},
	{"rate", "how many calls a second an open loop starts; 0 is a closed loop",
		accessTo(func(s *Settings) *float64 { return &s.Rate }, rate)},
	{"arrivals", "how the calls of an open loop are spaced: constant or poisson",
		accessTo(func(s *Settings) *workload.Arrivals { return &s.Arrivals }, text[workload.Arrivals]())},
	{"calls", "how many calls are made; 0: as many as start within the duration",
		accessTo(func(s *Settings) *int { return &s.Calls }, whole(0, 1e7))},
	{"duration", "how long calls are started; 0s: until all calls are made",
		accessTo(func(s *Settings) *time.Duration { return &s.Duration }, duration)},
	{"warmup", "time from the start of the load in which calls do not count",
		accessTo(func(s *Settings) *time.Duration { return &s.Warmup }, duration)},
}

// accessTo returns the access to a field of settings, spelled in a form.
func accessTo[T any](field func(*Settings) *T, f form[T]) access {
	return access{
		get: func(s *Settings) string { return f.spell(*field(s)) },
		set: func(s *Settings, text string) error {
			v, err := f.parse(text)
			if err == nil {
				*field(s) = v
			}
			return err
		},
	}
}

func findFactor(name string) (Factor, error) {
	i := slices.IndexFunc(factors, func(f Factor) bool { return f.Name == name })
	if i < 0 {
		return Factor{}, fmt.Errorf("unknown factor %q: want one of %s", name, factorNames())
	}
	return factors[i], nil
}

func factorNames() string {
	names := make([]string, len(factors))
	for i, f := range factors {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// NewLevel returns a level of the factor, spelled as [Settings.Value] spells it. Its errors say
// what is allowed.
func NewLevel(factor, value string) (Level, error) {
	f, err := findFactor(factor)
	if err != nil {
		return Level{}, err
	}
	var s Settings
	if err := f.set(&s, value); err != nil {
		return Level{}, fmt.Errorf("%s %w", factor, err)
	}
	return Level{factor, f.get(&s)}, nil
}

// apply sets the factor to a level that NewLevel returned.
func (s *Settings) apply(l Level) {
	if f, err := findFactor(l.Factor); err == nil {
		f.set(s, l.Value)
	}
}
