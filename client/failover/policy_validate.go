package failover

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc/codes"
)

// validate returns one error that names every field out of its range.
func (p *Policy) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("failover: Policy."+format, args...))
		}
	}
	checkDuration := func(name string, d time.Duration, instead string) {
		err := validDuration(name, d, instead)
		check(err == nil, "%v", err)
	}
	checkDuration("Timeout", p.Timeout, noTimeout)
	checkDuration("MinTimeout", p.MinTimeout, "")
	check(p.Timeout <= 0 || p.MinTimeout <= p.Timeout, "MinTimeout %v: want at most the Timeout of %v", p.MinTimeout, p.Timeout)
	check(p.Rounds >= 0, "Rounds %d: want 0 or more", p.Rounds)
	checkDuration("Pause", p.Pause, "")
	check(p.Order >= OrderFirst && p.Order <= OrderSticky, "Order %d: want OrderFirst to OrderSticky", p.Order)
	for _, c := range p.Retryable {
		check(c != codes.OK, "Retryable has OK, which is not a failure")
	}
	for _, c := range p.NotExecuted.Codes {
		check(c != codes.OK, "NotExecuted.Codes has OK, which is not a failure")
	}
	check(p.PauseGrowth.Factor == 0 || p.PauseGrowth.Factor >= 1, "PauseGrowth.Factor %v: want 0, or 1 or more", p.PauseGrowth.Factor)
	checkDuration("PauseGrowth.Max", p.PauseGrowth.Max, "0 for no bound")
	check(p.PauseGrowth.Jitter >= 0 && p.PauseGrowth.Jitter <= 1, "PauseGrowth.Jitter %v: want 0 to 1", p.PauseGrowth.Jitter)
	check(p.ReplayLimit >= 0, "ReplayLimit %d: want 0 or more", p.ReplayLimit)
	for _, key := range slices.Sorted(maps.Keys(p.Idempotent)) {
		err := checkMethodKey(key)
		check(err == nil, "Idempotent has %v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Methods)) {
		err := checkMethodKey(key)
		check(err == nil, "Methods has %v", err)
		m := p.Methods[key]
		err = m.validate()
		check(err == nil, "Methods[%q].%v", key, err)
	}
	check(p.WhenDown.valid(), "WhenDown %d: want WhenDownAttempt or WhenDownWait", p.WhenDown)
	checkDuration("MaxWait", p.MaxWait, "")
	check(p.MaxWaiting >= 0, "MaxWaiting %d: want 0 or more", p.MaxWaiting)
	check(p.MaxInFlight >= 0, "MaxInFlight %d: want 0 or more", p.MaxInFlight)
	check(p.Budget.Ratio >= 0 && p.Budget.Ratio <= 1, "Budget.Ratio %v: want 0 to 1", p.Budget.Ratio)
	check(p.Budget.PerSecond >= 0, "Budget.PerSecond %v: want 0 or more", p.Budget.PerSecond)
	check(p.Budget.Burst >= 0, "Budget.Burst %d: want 0 or more", p.Budget.Burst)
	err := p.Ejection.validate()
	check(err == nil, "%v", err)
	err = p.Hedge.validate()
	check(err == nil, "%v", err)
	check(p.Redial.Every == 0 || p.Redial.Every >= time.Millisecond, "Redial.Every %v: want 0, or 1ms or more", p.Redial.Every)
	checkDuration("Redial.Every", max(p.Redial.Every, 0), "")
	checkDuration("Redial.Linger", p.Redial.Linger, "")
	check(p.Redial.PerSecond >= 0, "Redial.PerSecond %d: want 0 or more", p.Redial.PerSecond)
	checkDuration("Redial.Timeout", p.Redial.Timeout, "")
	checkDuration("ResolveEvery", max(p.ResolveEvery, 0), "a negative value for never")
	return errors.Join(errs...)
}

// noTimeout is the value that stands for an unlimited Timeout.
const noTimeout = "0 for none"

// validDuration returns an error for a duration below 0 or above MaxDuration. instead, unless
// empty, is the value that stands for a duration without a bound.
func validDuration(name string, d time.Duration, instead string) error {
	switch {
	case d < 0:
		return fmt.Errorf("%s %v: want 0 or more", name, d)
	case d > MaxDuration && instead != "":
		return fmt.Errorf("%s %v: want at most %v, or %s", name, d, MaxDuration, instead)
	case d > MaxDuration:
		return fmt.Errorf("%s %v: want at most %v", name, d, MaxDuration)
	}
	return nil
}

func (e *Ejection) validate() error {
	switch {
	case *e != Ejection{} && !e.Off && e.After < 1:
		return fmt.Errorf("Ejection.After %d: want 1 or more, or Off", e.After)
	case !(e.MaxShare >= 0 && e.MaxShare <= 1):
		return fmt.Errorf("Ejection.MaxShare %v: want 0 to 1", e.MaxShare)
	}
	return validDuration("Ejection.Probe", e.Probe, "")
}

func (h *Hedge) validate() error {
	switch {
	case !(h.Quantile >= 0 && h.Quantile < 1):
		return fmt.Errorf("Hedge.Quantile %v: want 0 to below 1", h.Quantile)
	case !(h.Share >= 0 && h.Share <= 1):
		return fmt.Errorf("Hedge.Share %v: want 0 to 1", h.Share)
	}
	return validDuration("Hedge.After", h.After, "0 for never")
}

// withDefaults replaces zero values by what they stand for.
func (p Policy) withDefaults() Policy {
	p.Rounds = max(p.Rounds, 1)
	p.ReplayLimit = cmp.Or(p.ReplayLimit, 256<<10)
	p.MaxWaiting = cmp.Or(p.MaxWaiting, 1000)
	if p.Budget.bounded() {
		p.Budget.Burst = cmp.Or(p.Budget.Burst, 20)
	}
	p.Ejection.After = cmp.Or(p.Ejection.After, 3)
	p.Ejection.MaxShare = cmp.Or(p.Ejection.MaxShare, 2.0/3)
	p.Ejection.Probe = cmp.Or(p.Ejection.Probe, 500*time.Millisecond)
	p.Redial.Every = cmp.Or(p.Redial.Every, 25*time.Millisecond)
	p.Redial.Linger = cmp.Or(p.Redial.Linger, time.Second)
	p.Redial.PerSecond = cmp.Or(p.Redial.PerSecond, 100)
	p.Redial.Timeout = cmp.Or(p.Redial.Timeout, 5*time.Second)
	p.ResolveEvery = cmp.Or(p.ResolveEvery, 30*time.Second)
	return p
}

// forCore returns the part of the policy that decisions depend on. The policy must have its
// defaults.
func (p *Policy) forCore() core.Policy {
	return core.Policy{
		Rules:   p.rules(),
		MaxWait: p.MaxWait, MaxWaiting: p.MaxWaiting, MaxInFlight: p.MaxInFlight, AdaptiveLimit: p.AdaptiveLimit,
		Budget:   core.BudgetPolicy{Ratio: p.Budget.Ratio, PerSecond: p.Budget.PerSecond, Burst: p.Budget.Burst},
		Ejection: core.Ejection{Off: p.Ejection.Off, After: p.Ejection.After, Probe: p.Ejection.Probe, MaxShare: p.Ejection.MaxShare},
		Hedging:  p.Hedge.forCore(),
		Redial:   core.Redial{Every: p.Redial.Every, PerSecond: p.Redial.PerSecond, Linger: p.Redial.Linger, Timeout: p.Redial.Timeout},
	}
}

func (p *Policy) rules() core.Rules {
	return core.Rules{
		Timeout: p.Timeout, MinTimeout: p.MinTimeout, Rounds: p.Rounds,
		Pauses: core.Pauses{First: p.Pause, Factor: p.PauseGrowth.Factor, Max: p.PauseGrowth.Max, Jitter: p.PauseGrowth.Jitter},
		Order:  core.Order(p.Order), Wait: p.WhenDown == WhenDownWait,
	}
}

// forMethod returns the rules for calls of the named method.
func (p *Policy) forMethod(name string) (core.Rules, core.Hedging) {
	rules, hedging := p.rules(), p.Hedge.forCore()
	rules.Idempotent = p.idempotent(name)
	if override, ok := forMethod(p.Methods, name); ok {
		override.apply(&rules)
		if override.Hedge != nil {
			hedging = override.Hedge.forCore()
		}
	}
	return rules, hedging
}

func (h *Hedge) forCore() core.Hedging {
	return core.Hedging{After: h.After, Quantile: h.Quantile, Share: h.Share}
}
