package core

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Policy is the part of a failover.Policy that decisions depend on, with its defaults.
type Policy struct {
	Rules         Rules
	MaxWait       time.Duration // zero: none
	MaxWaiting    int
	MaxInFlight   int // zero: no limit
	AdaptiveLimit bool
	Budget        BudgetPolicy
	Ejection      Ejection
	Hedging       Hedging
	Redial        Redial
}

// BudgetPolicy bounds repetitions; see NewBudget. The zero value sets no bound.
type BudgetPolicy struct {
	Ratio, PerSecond float64
	Burst            int
}

// Ejection says when replicas are ejected.
type Ejection struct {
	Off      bool
	After    int           // consecutive failures, from 1
	Probe    time.Duration // between two probes
	MaxShare float64       // of the replicas with a connection, from 0 to 1
}

// Shared is the state that the calls of a client share. It is safe for concurrent use after Init.
type Shared struct {
	Policy Policy
	hazard Hazard
	budget *Budget // nil: unbounded
	hedges *Budget
	joins  *Budget

	mu      sync.Mutex // guards what follows; no other lock is taken with it held
	roster  *Roster
	touched []*Replica // to be updated in the roster

	stuckAfter int           // attempts without an answer after which a replica may be stuck
	wasDown    atomic.Bool   // the dial of a replica has failed
	last       atomic.Uint32 // key of the replica that last answered, for OrderSticky

	ejecting   sync.Mutex               // held while a replica is ejected, so that Ejection.MaxShare holds
	suspecting sync.Mutex               // held while suspects changes
	suspects   atomic.Pointer[[]Member] // replicas to be compared with others, in the order of their keys
	seed       uint64                   // of all dice
}

// Init prepares the zero value for a policy. All random choices depend on the seed.
func (s *Shared) Init(p Policy, seed uint64) {
	s.Policy, s.seed = p, seed
	if s.roster == nil {
		s.Use(nil)
	}
	s.hedges, s.joins = NewBudget(0, 0, HedgeBurst), NewBudget(JoinRatio, 0, JoinBurst)
	if p.Budget != (BudgetPolicy{}) {
		s.budget = NewBudget(p.Budget.Ratio, p.Budget.PerSecond, p.Budget.Burst)
	}
	if s.stuckAfter = p.Ejection.After; p.Ejection.Off {
		s.stuckAfter = math.MaxInt
	}
}

// Limit returns how many attempts may be in flight at one replica; zero means any number.
func (s *Shared) Limit() int32 {
	limit := s.Policy.MaxInFlight
	if s.Policy.AdaptiveLimit {
		if learned := s.hazard.Limit(); learned > 0 && (limit == 0 || learned < limit) {
			limit = learned
		}
	}
	return int32(min(limit, math.MaxInt32))
}

// CrashRate returns the learned probability that an attempt ends in a crash, or 0 without
// AdaptiveLimit.
func (s *Shared) CrashRate() float64 { return s.hazard.Rate() }

// BudgetLeft returns how many repetitions the budget would grant now, or +Inf without a budget.
func (s *Shared) BudgetLeft(now time.Duration) float64 {
	if s.budget == nil {
		return math.Inf(1)
	}
	return s.budget.Left(now)
}

// Terms are the fixed conditions of a call.
type Terms struct {
	Number   uint64        // among the client's calls, from 1: older calls have lower ones
	Deadline time.Duration // the caller's, on the client's clock; Forever if there is none
	Rules    *Rules
	Hedging  *Hedging
	Method   *Latency // of the call's method
}

// Begin records that a call begins, which adds to the budgets.
func (s *Shared) Begin(t *Terms) {
	if s.budget != nil {
		s.budget.Call()
	}
	if t.Hedging.enabled() {
		s.hedges.CallWorth(t.Hedging.Share)
	}
	s.joins.Call()
}

// Remaining returns the time until the caller's deadline.
func (t *Terms) Remaining(now time.Duration) time.Duration {
	if t.Deadline == Forever {
		return Forever
	}
	return t.Deadline - now
}

// moment returns what a decision about the call depends on, apart from the replicas.
func (s *Shared) moment(t *Terms, c *Call, now time.Duration) Moment {
	m := Moment{Now: now, Remaining: t.Remaining(now), Start: t.Number - 1}
	if m.Remaining != Forever {
		m.Typical = t.Method.Typical()
		if m.Usual = m.Typical; m.Usual == 0 {
			m.Usual = t.Method.Guess()
		}
	}
	if t.Rules.NeedsDice() {
		m.Dice = roll(s.seed, t.Number, uint64(c.steps))
	}
	if t.Rules.Order == OrderSticky {
		m.Last = s.last.Load()
	}
	return m
}

// Next decides what the call does next. If that is to try a replica, it takes a place there. It
// returns false if r is not the latest roster; the caller must then retry with that. crowded says
// that other calls are waiting; they have precedence over a call that would wait.
func (s *Shared) Next(t *Terms, c *Call, r *Roster, crowded bool, now time.Duration) (d Decision, ok bool) {
	m := s.moment(t, c, now)
	m.NoRoom = t.Rules.Wait && crowded
	s.mu.Lock()
	defer s.mu.Unlock()
	for r == s.roster {
		d = c.Next(t.Rules, m, s.current(now).candidates)
		if d.Action != ActionTry || s.take(d.Index, t.Rules.Wait, now) {
			return d, true
		}
		c.Untry(r.members[d.Index].Key) // another call has taken the place
	}
	return d, false
}

// Better reports whether a call whose attempt at the replica with that key cannot begin yet should
// be made at another replica instead.
func (s *Shared) Better(t *Terms, tried *Call, key uint32, now time.Duration) bool {
	m := s.moment(t, tried, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	return tried.Better(t.Rules, m, s.current(now).candidates, key)
}

// Follow returns the final form of a decision by Next or Serve: it charges a repetition to the
// budget, and may turn the decision into ActionGiveUp or change its reason. ended says that the
// caller's context has ended. If d was to try a replica and the result is not, the caller must give
// the place back with Abandon.
func (s *Shared) Follow(c *Call, d Decision, ended bool, now time.Duration) Decision {
	switch {
	case ended && (d.Action != ActionGiveUp || d.Reason == ReasonNoTime):
		return Decision{Action: ActionGiveUp, Reason: ReasonCallerEnded}
	case d.Action == ActionGiveUp && d.Reason == ReasonSpent && !c.failed:
		return Decision{Action: ActionGiveUp, Reason: ReasonNoReplica}
	case d.Action != ActionGiveUp && !s.pay(c, d, now):
		return Decision{Action: ActionGiveUp, Reason: ReasonBudgetSpent}
	}
	return d
}

// pay charges the budget for what the call does next, if it is a repetition. It returns false if
// the budget has no token.
func (s *Shared) pay(c *Call, d Decision, now time.Duration) bool {
	if c.failed && !c.paid && s.budget != nil && !s.budget.Take(now) {
		return false
	}
	c.paid = c.failed && d.Action != ActionTry
	return true
}

// WaitLeft returns how much longer a call may wait that has waited for so long; see Rules.WaitLeft.
func (s *Shared) WaitLeft(t *Terms, waited, now time.Duration) time.Duration {
	return t.Rules.WaitLeft(s.Policy.MaxWait, waited, t.Remaining(now))
}

// WaitReason returns why a call fails that may not wait any longer.
func (t *Terms) WaitReason(ended bool, now time.Duration) Reason {
	switch {
	case ended:
		return ReasonCallerEnded
	case t.Remaining(now) <= t.Rules.MinTimeout:
		return ReasonNoTime
	}
	return ReasonWaitedTooLong
}

// Serve decides for the waiting calls, as Line.Serve does. It returns after how long to serve again
// because a replica will have room even without an answer; zero means never.
func Serve[O any](s *Shared, line *Line[O], r *Roster, now time.Duration, served func(*Waiter[O], Decision)) (again time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r != s.roster {
		return 0 // the goroutine that has replaced the roster serves again
	}
	line.Serve(s.current(now).candidates, func(w *Waiter[O]) Moment {
		return s.moment(&w.Terms, &w.Call, now)
	}, func(i int) bool {
		taken := s.take(i, true, now)
		s.current(now)
		return taken
	}, served)
	if at, _ := r.again.first(); at != Forever && line.Len() > 0 {
		return at - now
	}
	return 0
}
