// Package core makes the decisions of the failover client: what a call does next, which replicas
// are ejected, how many attempts to risk, whether the budget allows a repetition. It has no clock,
// goroutine or connection. Callers pass in the time and carry out the decisions, in real time, in a
// test or in a simulation.
package core

import (
	"math"
	"time"
)

// Rules are the settings of a policy that govern a single call.
type Rules struct {
	Timeout, MinTimeout time.Duration // zero: none
	Pauses              Pauses

	Rounds     int // from 1
	Order      Order
	Wait       bool // wait for a replica to become available rather than try one that is down
	Idempotent bool // attempts may be repeated even if they may have been executed
}

// NeedsDice reports whether a decision may depend on Moment.Dice.
func (r *Rules) NeedsDice() bool {
	return r.Order == OrderRandom || r.Order == OrderLeastInFlight || r.Pauses.Jitter > 0
}

// Pauses describes the waits between rounds.
type Pauses struct {
	First  time.Duration // zero: none
	Factor float64       // from one pause to the next; below 1 counts as 1
	Max    time.Duration // upper bound of a pause; zero: none
	Jitter float64       // the share by which a pause is lengthened or shortened at random
}

// nth returns the length of the n-th pause, from 0. The dice determine its jitter.
func (p Pauses) nth(n int, dice uint64) time.Duration {
	if p.First <= 0 {
		return 0
	}
	length := float64(p.First) * math.Pow(max(p.Factor, 1), float64(n))
	if p.Max > 0 {
		length = min(length, float64(p.Max))
	}
	length *= 1 + p.Jitter*(2*float64(dice>>11)/(1<<53)-1)
	if length >= float64(Forever) { // or Inf
		return Forever
	}
	return time.Duration(length)
}

// Order determines which of several equally good replicas is tried first.
type Order uint8

// The orders of failover.Order.
const (
	OrderFirst Order = iota
	OrderRoundRobin
	OrderRandom
	OrderLeastInFlight
	OrderSticky
)

// Moment is the rest of what a decision depends on.
type Moment struct {
	// Now is the time of the decision, from any origin that is the same for all of a call.
	Now time.Duration
	// Remaining is the time until the caller's deadline.
	Remaining time.Duration
	// Typical is a time within which 95% of attempts end; zero if unknown.
	Typical time.Duration
	// Usual is the time beyond which an attempt takes unusually long; zero if unknown.
	Usual time.Duration
	// Crowded reports whether other calls wait for the replicas. If so, no replica is spent on an
	// attempt with less than Typical left, which would probably end with the deadline while another
	// call might have been answered.
	Crowded bool
	// Start is the place in the list where OrderRoundRobin starts.
	Start uint64
	// Dice are random bits for OrderRandom, OrderLeastInFlight and the jitter of a pause.
	Dice uint64
	// Last is the key of the replica that last answered a call, for OrderSticky; zero means none.
	Last uint32
	// NoRoom tells a call that waits to leave any room to older waiters.
	NoRoom bool
}

// Forever is the remaining time if there is no deadline.
const Forever time.Duration = math.MaxInt64

// Action is what a call does next.
type Action uint8

const (
	// ActionTry: try the replica at Decision.Index.
	ActionTry Action = iota
	// ActionPause: pause for Decision.Wait, then decide again.
	ActionPause
	// ActionAwait: decide again when a replica has become available.
	ActionAwait
	// ActionGiveUp: the call has failed for Decision.Reason.
	ActionGiveUp
)

// Reason is why a call fails.
type Reason uint8

const (
	// ReasonSpent: every replica has been tried in every round.
	ReasonSpent Reason = iota
	// ReasonFinal: the last attempt's outcome is not retried.
	ReasonFinal
	// ReasonAmbiguous: the last attempt may have been executed, and the method may not be repeated.
	ReasonAmbiguous
	// ReasonNoTime: the time until the caller's deadline is too short for another attempt.
	ReasonNoTime
	// ReasonPushedBack: the replica has asked not to repeat the call, or to wait for longer than
	// the caller's deadline allows.
	ReasonPushedBack
	// ReasonFull: no replica has room for another attempt.
	ReasonFull
	// ReasonCallerEnded: the caller's deadline has passed, or the caller has canceled the call.
	ReasonCallerEnded
	// ReasonNoReplica: there is no replica.
	ReasonNoReplica
	// ReasonBudgetSpent: the budget has no token for a repetition.
	ReasonBudgetSpent
	// ReasonWaitedTooLong: the call has waited for as long as it may.
	ReasonWaitedTooLong
	// ReasonCrowded: too many older calls are waiting.
	ReasonCrowded
)

// Decision is what Next returns.
type Decision struct {
	Action Action
	Reason Reason
	// Index is the index of the replica to try, Round the round of the attempt, from 1.
	Index, Round int
	// Timeout bounds the attempt; zero means that only the caller's deadline does.
	Timeout time.Duration
	// Join is how long after its begin another attempt may join this one; zero means never.
	Join time.Duration
	// Alone reports that no attempt is likely to be possible after this one, at this replica or
	// another.
	Alone bool
	// Wait is the length of a pause.
	Wait time.Duration
}

// Result is how an attempt ended, as far as the next decision depends on it.
type Result struct {
	// Final reports an outcome that is not retried, such as a status that is not retryable.
	Final bool
	// Sent reports that the attempt may have been executed.
	Sent bool
	// Pushback is how long the replica asked to wait before the call is repeated. Zero means no
	// wait; a negative value means that the call must not be repeated.
	Pushback time.Duration
}

// Call is the state of a call: what it has tried so far. The zero value is a call that has tried
// nothing.
type Call struct {
	rounds int   // completed rounds, if the call does not wait
	tried  marks // in which round each replica was last tried
	paused bool  // since the last attempt
	failed bool  // an attempt was noted
	fresh  bool  // nothing has been decided since the last attempt
	paid   bool  // the budget has granted the next attempt
	steps  int   // attempts noted, plus pauses
	last   Result
	since  time.Duration // when the first decision after the last attempt was made
}

// Next decides what to do, given the state of the replicas. It assumes that the decision is carried
// out: a replica to try counts as tried, a pause as over.
func (c *Call) Next(r *Rules, m Moment, replicas *Candidates) Decision {
	if c.fresh {
		c.fresh, c.since = false, m.Now
	}
	if c.failed {
		if d, over := c.afterFailure(r, m); over {
			return d
		}
	}
	i, may := -1, c.anyReplica(r)
	if !m.NoRoom {
		i = c.choose(r, m, replicas, may)
	}
	switch {
	case i < 0 && r.Wait:
		return c.withoutAvailable(r, replicas)
	case i < 0:
		return c.endRound(r, m, replicas)
	}
	if tried := c.tried.of(replicas.all[i].Key); r.Wait && c.failed && !c.paused && tried > 0 {
		// The time that the call has waited for a replica is part of the pause.
		if rest := r.Pauses.nth(tried-1, m.Dice) - (m.Now - c.since); rest > 0 {
			return c.pause(rest, r, m)
		}
	}
	return c.try(r, m, replicas, i, may)
}

// Hedge decides on another attempt while one is in flight at the replica with key first. It returns
// false unless there is a replica that the call has tried less often and that is ready, has room
// and is not ejected.
func (c *Call) Hedge(r *Rules, m Moment, replicas *Candidates, first uint32) (d Decision, ok bool) {
	may := c.anyReplica(r)
	may.most, may.available = min(may.most, c.tried.of(first)-1), true
	i := c.choose(r, m, replicas, may)
	if i < 0 {
		return d, false
	}
	d = c.try(r, m, replicas, i, may)
	return d, d.Action == ActionTry
}

// Note records the result of an attempt that failed.
func (c *Call) Note(res Result) {
	c.steps++
	c.failed, c.fresh, c.paused, c.last = true, true, false, res
}

// Failed reports whether an attempt of the call has failed.
func (c *Call) Failed() bool { return c.failed }

// Untry takes back the last try at a replica, which was not made.
func (c *Call) Untry(key uint32) { c.tried.set(key, c.tried.of(key)-1) }

// Miss takes back the last try at a replica, which had begun and was not made. The replica counts
// as not tried, and the token as not spent.
func (c *Call) Miss(key uint32) {
	c.Untry(key)
	c.paid = c.failed
}

// NoteHedge records the result of a hedge that failed, in addition to that of the attempt it
// joined. Whatever forbids a repetition after either forbids it for the call. The key and round are
// those that Hedge decided on.
func (c *Call) NoteHedge(key uint32, round int, res Result) {
	if !c.failed { // the first attempt was not made
		c.last = Result{}
	}
	c.steps++
	c.failed, c.fresh, c.paused = true, true, false
	c.tried.set(key, max(c.tried.of(key), round))
	c.last.Final = c.last.Final || res.Final
	c.last.Sent = c.last.Sent || res.Sent
	if c.last.Pushback >= 0 && (res.Pushback < 0 || res.Pushback > c.last.Pushback) {
		c.last.Pushback = res.Pushback
	}
}

// try decides to try the i-th replica, unless too little time is left.
func (c *Call) try(r *Rules, m Moment, replicas *Candidates, i int, may choice) Decision {
	timeout, join, ok := c.timeout(r, m, replicas, i, may)
	if !ok {
		return Decision{Action: ActionGiveUp, Reason: ReasonNoTime}
	}
	key := replicas.all[i].Key
	round := c.rounds + 1
	if r.Wait {
		round = c.tried.of(key) + 1
	}
	c.tried.set(key, round)
	return Decision{Action: ActionTry, Index: i, Round: round, Timeout: timeout, Join: join, Alone: c.alone(r, replicas, round, may)}
}

// alone reports whether the attempt just decided on is probably the last: there is no further
// round, and no other replica is available or being dialed without a failure so far.
func (c *Call) alone(r *Rules, replicas *Candidates, round int, may choice) bool {
	soon := kindHopeful
	if may.available {
		soon = kindAvailable
	}
	return max(c.rounds+1, round) >= r.Rounds && c.count(r, replicas, soon, may.most) == 0
}

// allows reports whether a pause of d leaves time for an attempt.
func (m *Moment) allows(d time.Duration, r *Rules) bool { return d <= m.Remaining-max(r.MinTimeout, 1) }

// pause decides to pause, unless no time for an attempt would be left.
func (c *Call) pause(d time.Duration, r *Rules, m Moment) Decision {
	if !m.allows(d, r) {
		return Decision{Action: ActionGiveUp, Reason: ReasonNoTime}
	}
	c.steps++
	c.paused = true
	return Decision{Action: ActionPause, Wait: d}
}

// afterFailure decides whether the call fails with its last attempt, or has to pause first. over is
// false if the call may go on.
func (c *Call) afterFailure(r *Rules, m Moment) (d Decision, over bool) {
	last := &c.last
	switch {
	case last.Final:
		return Decision{Action: ActionGiveUp, Reason: ReasonFinal}, true
	case last.Sent && !r.Idempotent:
		return Decision{Action: ActionGiveUp, Reason: ReasonAmbiguous}, true
	case last.Pushback < 0 || last.Pushback > 0 && !m.allows(last.Pushback, r):
		return Decision{Action: ActionGiveUp, Reason: ReasonPushedBack}, true
	case last.Pushback > 0:
		wait := last.Pushback
		last.Pushback = 0 // complied with
		return c.pause(wait, r, m), true
	}
	return d, false
}

// withoutAvailable decides for a call that waits, if no replica is available.
func (c *Call) withoutAvailable(r *Rules, replicas *Candidates) Decision {
	if replicas.Len() > 0 && c.count(r, replicas, kindAny, r.Rounds-1) == 0 {
		return Decision{Action: ActionGiveUp, Reason: ReasonSpent}
	}
	return Decision{Action: ActionAwait} // even without any replica, as some may come
}

// endRound decides if no replica is left to try in the round.
func (c *Call) endRound(r *Rules, m Moment, replicas *Candidates) Decision {
	if c.rounds+1 < r.Rounds {
		c.rounds++
		return c.pause(r.Pauses.nth(c.rounds-1, m.Dice), r, m)
	}
	if c.count(r, replicas, kindAny, c.rounds) > 0 { // some were skipped
		return Decision{Action: ActionGiveUp, Reason: ReasonFull}
	}
	return Decision{Action: ActionGiveUp, Reason: ReasonSpent}
}

// timeout returns the deadline of an attempt at the i-th replica, and when another may join it. It
// returns false if too little time remains for an attempt.
//
// The remaining time is shared among the replicas that the call has tried no more often than this
// one. A replica without a connection gets no more than its share. An attempt at a connected
// replica is not cut off, because the call may be a heavy one: when its share is over, and attempts
// usually take no longer, another attempt may join it.
func (c *Call) timeout(r *Rules, m Moment, replicas *Candidates, i int, may choice) (timeout, join time.Duration, ok bool) {
	if m.Remaining == Forever {
		return r.Timeout, 0, true
	}
	if m.Remaining <= 0 || m.Remaining < r.MinTimeout || m.Crowded && m.Remaining < m.Typical {
		return 0, 0, false
	}
	timeout = m.Remaining
	if r.Timeout > 0 {
		timeout = min(timeout, r.Timeout)
	}
	share := max(m.Remaining/time.Duration(c.left(r, replicas, i, may)), r.MinTimeout, m.Usual, 1)
	switch {
	case !replicas.all[i].Ready:
		timeout = min(timeout, share)
	case r.Idempotent && m.Usual > 0 && share < timeout:
		join = share
	}
	if timeout >= m.Remaining {
		timeout = 0 // the caller's own deadline suffices
	}
	return timeout, join, true
}

// left returns how many of the replicas that may be tried the call has tried no more often than the
// i-th, including that one.
func (c *Call) left(r *Rules, replicas *Candidates, i int, may choice) int {
	standing := c.rounds
	if r.Wait {
		standing = c.tried.of(replicas.all[i].Key)
	}
	if may.available {
		return c.count(r, replicas, kindAvailable, min(standing, may.most))
	}
	return c.count(r, replicas, kindAny, standing)
}
