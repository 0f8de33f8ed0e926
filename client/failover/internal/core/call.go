// Package core decides: what a call does next, which replicas are left out, how many attempts to
// risk, whether a repetition can be afforded. It has no clock, no goroutine and no connection. The
// time is handed in, and what is decided is for others to do, be it in real time, in a test or in a
// simulation.
package core

import (
	"math"
	"time"
)

// Rules are what a policy says of the course of a call.
type Rules struct {
	Timeout, MinTimeout time.Duration // zero: none
	Pauses              Pauses

	Rounds     int // from 1
	Order      Order
	Wait       bool // wait for a replica to become available rather than try one that is down
	Idempotent bool // attempts may be repeated though they may have been executed
}

// NeedsDice reports whether a decision may depend on Moment.Dice.
func (r *Rules) NeedsDice() bool {
	return r.Order == OrderRandom || r.Order == OrderLeastInFlight || r.Pauses.Jitter > 0
}

// Pauses are the waits between rounds.
type Pauses struct {
	First  time.Duration // zero: none
	Factor float64       // from one pause to the next; below 1 counts as 1
	Max    time.Duration // zero: none
	Jitter float64       // the share by which a pause is lengthened or shortened at random
}

// nth returns the length of the pause after so many others, with a jitter from random bits.
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

// Order is which of several equally good replicas is tried first.
type Order uint8

// The orders of failover.Order.
const (
	OrderFirst Order = iota
	OrderRoundRobin
	OrderRandom
	OrderLeastInFlight
	OrderSticky
)

// Moment is what else a decision depends on.
type Moment struct {
	// Remaining is the time until the caller's deadline.
	Remaining time.Duration
	// Typical is what an attempt may be expected to take; zero where that is not known.
	Typical time.Duration
	// Usual is the time beyond which an attempt takes unusually long; zero where that is not known.
	Usual time.Duration
	// Crowded is true where other calls wait for the replicas. Then none is spent on an attempt
	// that has less than Typical: as likely as not, it would end with the deadline, where another
	// call might have been answered.
	Crowded bool
	// Start is the place in the list where RoundRobin starts.
	Start uint64
	// Dice are random bits, for Random, LeastInFlight and the jitter of a pause.
	Dice uint64
	// Last is the Key of the replica that last answered a call, for Sticky; zero for none.
	Last uint32
	// NoRoom is true where calls that wait have to leave what room there is to others.
	NoRoom bool
}

// Forever is the time that remains where there is no deadline.
const Forever time.Duration = math.MaxInt64

// Action is what a call does next.
type Action uint8

const (
	// ActionTry: try the replica at the decision's Index.
	ActionTry Action = iota
	// ActionPause: pause for the decision's Wait, then ask again.
	ActionPause
	// ActionAwait: await a replica, and ask again when one has become available.
	ActionAwait
	// ActionGiveUp: the call has failed, for the decision's Reason.
	ActionGiveUp
)

// Reason is why a call fails.
type Reason uint8

const (
	// ReasonSpent: every replica has been tried in every round.
	ReasonSpent Reason = iota
	// ReasonFinal: the last attempt's outcome is the call's.
	ReasonFinal
	// ReasonAmbiguous: the last attempt may have been executed, and the method may not be repeated.
	ReasonAmbiguous
	// ReasonNoTime: what is left until the caller's deadline is not enough for another attempt.
	ReasonNoTime
	// ReasonPushedBack: the replica has asked not to repeat the call, or not before the caller's
	// deadline.
	ReasonPushedBack
	// ReasonFull: no replica has room for another attempt.
	ReasonFull
	// ReasonCallerEnded: the caller's deadline has passed, or the caller has given up.
	ReasonCallerEnded
	// ReasonNoReplica: there is none.
	ReasonNoReplica
	// ReasonBudgetSpent: there is no budget for a repetition.
	ReasonBudgetSpent
	// ReasonImpatient: the call has waited for as long as it may.
	ReasonImpatient
	// ReasonCrowded: too many older calls wait.
	ReasonCrowded
)

// Decision is an answer of Next.
type Decision struct {
	Action Action
	Reason Reason
	// Index is that of the replica to try, Round the pass that the attempt belongs to, from 1.
	Index, Round int
	// Timeout is the deadline of the attempt; zero means none but the caller's.
	Timeout time.Duration
	// Join is when another attempt may join this one, if it has not ended; zero means never.
	Join time.Duration
	// Alone is true if no other attempt is likely to be possible after this one: neither at another
	// replica nor at this one.
	Alone bool
	// Wait is the length of a pause.
	Wait time.Duration
}

// Result is how an attempt ended, so far as the next decision depends on it.
type Result struct {
	// Final is true where the outcome is not to be repeated, such as a status that is not
	// retryable.
	Final bool
	// Sent is true where the attempt may have been executed.
	Sent bool
	// Pushback is how long the replica asked to wait before the call is repeated; zero means that
	// it did not ask, or for no wait, and a negative value that the call is not to be repeated.
	Pushback time.Duration
}

// Call is what a call has tried so far. Its zero value has tried nothing.
type Call struct {
	rounds int // completed, where the call does not wait
	tried  marks
	paused bool // since the last attempt
	failed bool // an attempt was noted
	paid   bool // the budget has granted the next attempt
	steps  int  // attempts noted, and pauses
	last   Result
}

// Next decides what to do now that the replicas are as given. What it decides it takes as done: a
// try counts as tried, a pause as over.
func (c *Call) Next(r *Rules, m Moment, replicas *Candidates) Decision {
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
	if tried := c.tried.of(replicas.all[i].Key); r.Wait && c.failed && !c.paused && r.Pauses.First > 0 && tried > 0 {
		return c.pause(r.Pauses.nth(tried-1, m.Dice), r, m)
	}
	return c.try(r, m, replicas, i, may)
}

// Hedge decides on another attempt while one at the replica of that key is on its way. It is made
// only at a replica that the call has tried less often, that is ready, has room and is not left
// out; or not at all.
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

// Note takes the result of an attempt that failed.
func (c *Call) Note(res Result) {
	c.steps++
	c.failed, c.paused, c.last = true, false, res
}

// Failed reports whether an attempt of the call has failed.
func (c *Call) Failed() bool { return c.failed }

// Untry takes back the last try at a replica: it has not been made.
func (c *Call) Untry(key uint32) { c.tried.set(key, c.tried.of(key)-1) }

// Miss takes back the last try at a replica, which had begun and was not made. The call has not had
// its turn there, and has not spent what it paid.
func (c *Call) Miss(key uint32) {
	c.Untry(key)
	c.paid = c.failed
}

// NoteHedge takes the result of a hedge that failed beside the attempt that it joined: what rules
// out a repetition of either rules out the call's. The hedge was made at the replica of that key,
// in that round, as Hedge decided.
func (c *Call) NoteHedge(key uint32, round int, res Result) {
	if !c.failed { // the first was not made
		c.last = Result{}
	}
	c.steps++
	c.failed, c.paused = true, false
	c.tried.set(key, max(c.tried.of(key), round))
	c.last.Final = c.last.Final || res.Final
	c.last.Sent = c.last.Sent || res.Sent
	if c.last.Pushback >= 0 && (res.Pushback < 0 || res.Pushback > c.last.Pushback) {
		c.last.Pushback = res.Pushback
	}
}

// try decides to try a replica, of those that may be tried, unless there is no time to.
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

// alone reports whether no other replica than the one just tried could be tried at once or after a
// dial that has not failed, nor that one again in a further round.
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

// afterFailure tells whether the last attempt's failure is the call's, or when it may go on.
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
		last.Pushback = 0 // obeyed
		return c.pause(wait, r, m), true
	}
	return d, false
}

// withoutAvailable decides where the call waits for replicas and none is to be had.
func (c *Call) withoutAvailable(r *Rules, replicas *Candidates) Decision {
	if replicas.Len() > 0 && c.count(r, replicas, kindAny, r.Rounds-1) == 0 {
		return Decision{Action: ActionGiveUp, Reason: ReasonSpent}
	}
	return Decision{Action: ActionAwait} // where there are none, more may come
}

// endRound decides where the round has no replica left to try.
func (c *Call) endRound(r *Rules, m Moment, replicas *Candidates) Decision {
	if c.rounds+1 < r.Rounds {
		c.rounds++
		return c.pause(r.Pauses.nth(c.rounds-1, m.Dice), r, m)
	}
	if c.count(r, replicas, kindAny, c.rounds) > 0 { // they were passed over
		return Decision{Action: ActionGiveUp, Reason: ReasonFull}
	}
	return Decision{Action: ActionGiveUp, Reason: ReasonSpent}
}

// timeout returns the deadline of an attempt at the i-th replica, and when another may join it. It
// returns false where the time that remains is not enough for an attempt.
//
// What remains is shared among the replicas that the call has tried no more often than this one. A
// replica that has no connection gets no more than its share. One that has is not cut off, for the
// call may be a heavy one: when its share is over, and attempts usually take no longer, another
// attempt joins.
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
		timeout = 0 // the caller's own deadline does it
	}
	return timeout, join, true
}

// left returns how many replicas, of those that may be tried, the call has tried no more often than
// the i-th, which is one of them.
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
