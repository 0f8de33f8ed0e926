package virtual

import (
	"slices"

	"example.com/crashlab/client/failover/internal/core"
)

// attemptState is the state of an attempt.
type attemptState uint8

const (
	attemptNone    attemptState = iota // not under way
	attemptPending                     // waiting for a connection
	attemptSent
	attemptLost // sent, and the connection has broken
)

// attempt is an attempt, before and while it is under way.
type attempt struct {
	call     *call
	lease    core.Lease
	link     *link
	decision core.Decision
	number   int
	hedge    bool       // it has joined another
	racer    core.Racer // set when it ends
	state    attemptState
	tried    core.Call // while pending: the state of the call, in which this attempt counts as tried
	dial     uint64    // while pending: the dial it waits for
	reply    Reply
	again    bool // the request was refused, and is sent a second time

	answer Timer // delivers the reply
	limit  Timer // the attempt's own deadline

	before, behind *attempt // on the same connection
}

func (a *attempt) init(k *call) {
	a.call = k
	a.answer.Do = func() { a.replied(); k.client.run() }
	a.limit.Do = func() { a.cutOff(OutcomeTimeout); k.client.run() }
}

// prepare sets up the attempt for a decision.
func (a *attempt) prepare(d core.Decision, number int) {
	c := a.call.client
	a.decision, a.number, a.link = d, number, &c.links[d.Index]
	a.lease = core.Lease{Member: c.members[d.Index], Method: a.call.Method}
	a.racer = core.Racer{Key: a.lease.Key, Round: d.Round}
}

// begin starts the attempt.
func (a *attempt) begin() {
	k, c, d := a.call, a.call.client, a.decision
	ready := a.lease.Begin(c.now())
	if d.Timeout > 0 {
		c.timeline.Set(&a.limit, after(c.now(), d.Timeout))
	}
	a.state, a.dial, a.again = attemptPending, 0, false
	if !ready && !a.needsConnection() {
		a.tried = k.Waiter.Call
		a.dial = a.link.wake()
	}
	a.look()
}

// needsConnection reports whether the attempt requires a connection instead of waiting for a dial.
func (a *attempt) needsConnection() bool { return a.hedge || a.call.Rules.Wait }

// look goes on with the attempt unless it still has to wait for a connection.
func (a *attempt) look() {
	k, c := a.call, a.call.client
	switch {
	case a.link.broken:
		c.pending = append(c.pending, a)
	case a.link.Ready():
		a.send()
	case a.needsConnection():
		a.missed()
	case a.link.failed > 0 && a.link.failed >= a.dial:
		a.ended(OutcomeRefused, core.Wire{}, Reply{})
	case a.dial > 0 && c.shared.Better(&k.Terms, &a.tried, a.lease.Key, c.now()):
		a.missed()
	default:
		c.pending = append(c.pending, a)
	}
}

// send sends the attempt on the connection.
func (a *attempt) send() {
	l := a.link
	a.state = attemptSent
	if l.inFlight == nil {
		l.inFlight, a.before, a.behind = a, a, a
	} else {
		a.before, a.behind = l.inFlight.before, l.inFlight
		a.before.behind, a.behind.before = a, a
	}
	a.request()
}

// request sends the request.
func (a *attempt) request() {
	c, x := a.call.client, a.report()
	x.handle = a
	a.reply = c.world.Send(x)
	if a.reply.After != Forever {
		c.timeline.Set(&a.answer, after(c.now(), a.reply.After))
	}
}

func (a *attempt) report() Attempt {
	return Attempt{Call: a.call.Number, Number: a.number, Round: a.decision.Round, Replica: a.link.replica, Hedge: a.hedge, Start: a.lease.Start}
}

// replied handles the reply. If no other replica could be tried, gRPC repeats a refused request
// once.
func (a *attempt) replied() {
	switch o := a.reply.Outcome; {
	case o == OutcomeLost:
		a.link.lose()
	case o == OutcomeRefused && !a.decision.Alone:
		a.ended(o, core.Wire{Unprocessed: true}, a.reply)
	case o == OutcomeRefused && a.again:
		a.ended(OutcomeLost, core.Wire{Picked: true, Sent: true}, a.reply)
	case o == OutcomeRefused:
		a.again = true
		a.request()
	default:
		a.ended(o, core.Wire{Picked: true, Sent: true, Answered: true}, a.reply)
	}
}

// cutOff ends the attempt before its reply.
func (a *attempt) cutOff(o Outcome) {
	sent := a.state == attemptSent
	if !sent {
		a.forget()
	}
	a.ended(o, core.Wire{Picked: sent, Sent: sent}, Reply{})
}

// cancel cancels the attempt, if it has not ended.
func (a *attempt) cancel() {
	if a.state == attemptPending || a.state == attemptSent {
		a.cutOff(OutcomeCanceled)
	}
}

// forget removes the attempt from those that wait for a connection.
func (a *attempt) forget() {
	c := a.call.client
	i := slices.Index(c.pending, a)
	c.pending = slices.Delete(c.pending, i, i+1)
}

// stop removes the attempt from its connection, and stops its timers.
func (a *attempt) stop() {
	t := a.call.client.timeline
	t.Stop(&a.answer)
	t.Stop(&a.limit)
	if a.state == attemptSent || a.state == attemptLost {
		if a.behind == a {
			a.link.inFlight = nil
		} else {
			a.before.behind, a.behind.before = a.behind, a.before
			if a.link.inFlight == a {
				a.link.inFlight = a.behind
			}
		}
		a.before, a.behind = nil, nil
	}
	a.state = attemptNone
}

// missed ends an attempt that was not made.
func (a *attempt) missed() {
	k, c := a.call, a.call.client
	a.stop()
	c.shared.Miss(&a.lease, c.now())
	c.offer()
	a.racer.Missed = true
	k.attemptEnded(a)
}

// ended records how the attempt ended.
func (a *attempt) ended(o Outcome, w core.Wire, r Reply) {
	k, c := a.call, a.call.client
	now := c.now()
	a.stop()
	c.shared.Settle(&a.lease, o.End(w, k.over() && !k.givenUp, false), now, c.observer)
	c.shared.Release(a.lease.Replica)
	c.offer()
	if c.OnAttempt != nil {
		x := a.report()
		x.Duration, x.Outcome, x.Sent = now-a.lease.Start, o, w.Sent
		c.OnAttempt(x)
	}
	a.racer.Outcome = o
	a.racer.Result = core.Result{Final: o == OutcomeRejected, Sent: w.Sent && !r.NotExecuted, Pushback: r.Pushback}
	k.attemptEnded(a)
}
