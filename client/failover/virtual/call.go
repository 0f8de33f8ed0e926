package virtual

import (
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// call is a call under way. Calls that have ended are reused.
type call struct {
	core.Waiter[*call]

	client   *Client
	done     func(Call)
	began    time.Duration
	waited   time.Duration
	waits    bool          // it is in the line
	since    time.Duration // when it joined the line
	begun    int           // number of the last attempt begun
	canceled bool          // the caller ended the last attempt
	givenUp  bool          // the caller canceled the call before its deadline
	first    attempt
	race     core.Race // of first and others
	racing   bool      // others may join first
	others   []*attempt
	join     Timer // starts the next of them

	grant core.Decision // what to do after waiting
	timer Timer         // ends a pause or a wait
	limit Timer         // the caller's deadline
}

// Pending identifies a call that may still be under way.
type Pending struct {
	call   *call
	number uint64
}

// Cancel cancels the call, if it has not ended.
func (p Pending) Cancel() {
	if k := p.call; k.Number == p.number {
		k.givenUp = true
		k.expire()
		k.client.run()
	}
}

// Call begins a call under the policy passed to [New]. The deadline is a time on the Timeline, or
// Forever. done, unless nil, is called when the call ends.
func (c *Client) Call(deadline time.Duration, done func(Call)) Pending {
	return c.method.Call(deadline, done)
}

// Call is like Client.Call, for this method.
func (m *Method) Call(deadline time.Duration, done func(Call)) Pending {
	c := m.client
	k := c.newCall()
	c.calls++
	k.Terms = core.Terms{Number: c.calls, Deadline: deadline, Rules: &m.rules, Hedging: &m.hedging, Method: &m.latency}
	p := Pending{k, c.calls}
	k.done, k.began = done, c.now()
	c.shared.Begin(&k.Terms)
	if deadline != Forever {
		c.timeline.Set(&k.limit, deadline)
	}
	k.wake(goesOn)
	c.run()
	return p
}

func (c *Client) newCall() *call {
	if n := len(c.free); n > 0 {
		k := c.free[n-1]
		c.free = c.free[:n-1]
		return k
	}
	k := &call{client: c}
	k.Owner = k
	k.first.init(k)
	k.join.Do = func() { k.joins(); c.run() }
	k.timer.Do = func() { k.timed(); c.run() }
	k.limit.Do = func() { k.expire(); c.run() }
	return k
}

// over reports whether the caller has canceled the call, or its deadline has passed.
func (k *call) over() bool { return k.givenUp || k.client.now() >= k.Deadline }

func goesOn(k *call, _ *attempt) { k.next() }

// next decides what the call does next.
func (k *call) next() {
	c := k.client
	if k.canceled {
		k.end(false, core.ReasonCallerEnded)
		return
	}
	c.want()
	d, _ := c.shared.Next(&k.Terms, &k.Waiter.Call, c.roster, c.line.Len() > 0, c.now())
	k.follow(d)
}

// follow carries out a decision. If it is to try a replica, the place there is already taken.
func (k *call) follow(d core.Decision) {
	c := k.client
	next := c.shared.Follow(&k.Waiter.Call, d, k.over(), c.now())
	switch next.Action {
	case core.ActionGiveUp:
		if d.Action == core.ActionTry {
			c.shared.Abandon(c.members[d.Index].Replica, c.now())
			c.offer()
		}
		k.end(false, next.Reason)
	case core.ActionTry:
		k.attempt(d)
	case core.ActionPause:
		if next.Wait > 0 {
			c.timeline.Set(&k.timer, c.now()+next.Wait)
		} else {
			k.wake(goesOn)
		}
	case core.ActionAwait:
		k.await()
	}
}

// await queues the call until a replica is available.
func (k *call) await() {
	c := k.client
	k.waits, k.since = true, c.now()
	first := c.line.Len() == 0
	c.line.Join(&k.Waiter)
	if first {
		c.dialMissing()
	}
	c.offer()
	for _, w := range c.line.Shed(c.policy.MaxWaiting) {
		w.Owner.leave()
		w.Owner.wake(func(k *call, _ *attempt) { k.end(false, core.ReasonCrowded) })
	}
	if k.waits {
		if left := c.shared.WaitLeft(&k.Terms, k.waited, c.now()); left != Forever {
			c.timeline.Set(&k.timer, after(c.now(), left))
		}
	}
}

// leave records that the call no longer waits.
func (k *call) leave() {
	c := k.client
	k.waits = false
	k.waited += c.now() - k.since
	c.timeline.Stop(&k.timer)
	c.wanted = c.now()
}

// granted makes a waiting call carry out the decision made for it.
func (k *call) granted(d core.Decision) {
	k.leave()
	k.grant = d
	k.wake(func(k *call, _ *attempt) { k.follow(k.grant) })
}

// timed is called at the end of a pause or a wait.
func (k *call) timed() {
	if k.waits {
		k.giveUp()
	} else {
		k.wake(goesOn)
	}
}

// giveUp ends a call that may not wait any longer.
func (k *call) giveUp() {
	c := k.client
	c.line.Leave(&k.Waiter)
	k.leave()
	k.end(false, k.WaitReason(k.over(), c.now()))
}

// expire is called at the caller's deadline, or when the caller cancels the call.
func (k *call) expire() {
	switch {
	case k.waits:
		k.giveUp()
	case k.racing || k.first.state != attemptNone:
		k.cancelAll()
	default: // during a pause
		k.end(false, core.ReasonCallerEnded)
	}
}

// end ends the call.
func (k *call) end(ok bool, r core.Reason) {
	c := k.client
	c.timeline.Stop(&k.timer)
	c.timeline.Stop(&k.limit)
	done, report := k.done, Call{
		Number: k.Number, Start: k.began, Duration: c.now() - k.began, Waited: k.waited, Attempts: k.begun, OK: ok, Reason: r,
	}
	k.Waiter.Call, k.Number = core.Call{}, 0
	k.done, k.waited, k.begun, k.canceled, k.givenUp = nil, 0, 0, false, false
	c.free = append(c.free, k)
	if done != nil {
		done(report)
	}
}
