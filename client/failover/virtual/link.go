package virtual

import (
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// linkState is what a link is at.
type linkState uint8

const (
	linkIdle       linkState = iota // the connection is lost, and no dial has begun
	linkConnecting                  // a dial is under way, or is to come for the first time
	linkReady
	linkDown // the last dial failed
)

// link is the connection to a replica, or the lack of one. It is the core.Link of the replica.
type link struct {
	client  *Client
	replica int

	state    linkState
	epoch    uint64
	begun    uint64 // dials
	failed   uint64 // the number of the last that failed, zero while there is a connection
	broken   bool   // the connection is, and this is not known yet
	broke    uint64 // the epoch of the latest that has broken
	underway bool
	knocks   bool          // and is to find out whether there is something to connect to
	up       bool          // what it comes to
	overdue  time.Duration // when it has failed in any case
	dialing  core.Dialing
	redial   Timer
	ends     Timer // the dial under way

	inFlight *attempt // the first of those on the connection, and on others that drain
	probe    *probe   // that waits for a connection, or nil
}

func (l *link) init(c *Client, i int) {
	l.client, l.replica, l.state = c, i, linkConnecting
	l.redial.Do = func() { l.dial(); c.run() }
	l.ends.Do = func() { l.dialed(); c.run() }
}

func (l *link) key() uint32 { return uint32(l.replica + 1) }

// Ready is as core.Link says, as the others are.
func (l *link) Ready() bool   { return l.state == linkReady }
func (l *link) Down() bool    { return l.state == linkDown }
func (l *link) Dialing() bool { return l.state == linkConnecting && l.failed == 0 }
func (l *link) Epoch() uint64 { return l.epoch }

// demand reports whether calls want the replicas that are down.
func (c *Client) demand() bool {
	return c.policy.Redial.Wanted(c.line.Len() > 0, c.now()-c.wanted)
}

// want takes note that a call is made, so that replicas that are down are worth dialing often.
func (c *Client) want() {
	if len(c.down) == 0 || c.policy.Redial.Fresh(c.now()-c.wanted) {
		return
	}
	c.wanted = c.now()
	c.dialMissing()
}

// dialMissing sees to it that replicas that are down are dialed soon.
func (c *Client) dialMissing() {
	for _, i := range c.down {
		c.links[i].schedule()
	}
}

// dialable reports whether there is neither a connection nor a dial under way.
func (l *link) dialable() bool { return !l.underway && l.state != linkReady }

// schedule sees to it that a replica without a connection is dialed when that is due.
func (l *link) schedule() {
	if l.dialable() {
		c := l.client
		l.dialAt(l.dialing.Due(c.policy.Redial, len(c.down), c.demand()))
	}
}

// dialAt sees to it that the replica is dialed at a time, or earlier.
func (l *link) dialAt(at time.Duration) {
	if !l.redial.Pending() || l.redial.at > at {
		l.client.timeline.Set(&l.redial, at)
	}
}

// dial dials, if that is due and the budget allows it, or else later.
func (l *link) dial() {
	c, now := l.client, l.client.now()
	if !l.dialable() {
		return
	}
	dice := core.DialDice(c.seed, l.key(), l.begun+1)
	if ok, again := l.dialing.Try(now, c.policy.Redial, c.dials, 1, len(c.down), c.demand(), dice); !ok {
		l.dialAt(again)
		return
	}
	c.timeline.Stop(&l.redial)
	l.begun++
	l.underway = true
	l.knocks, l.overdue = l.state == linkDown, Forever
	if limit := c.policy.Redial.Timeout; limit > 0 {
		l.overdue = now + limit
	}
	l.reach()
	if l.state == linkIdle || l.state == linkDown {
		l.changed(linkConnecting)
	}
}

// reach asks the world what comes of the dial under way.
func (l *link) reach() {
	c := l.client
	took, ok := c.world.Dial(l.replica, l.knocks)
	at := after(c.now(), took)
	if at > l.overdue {
		at, ok = l.overdue, false
	}
	if l.up = ok; at != Forever {
		c.timeline.Set(&l.ends, at)
	}
}

// dialed takes note that the dial under way has ended.
func (l *link) dialed() {
	c := l.client
	if l.knocks && l.up {
		l.knocks = false
		l.reach()
		l.changed(linkConnecting)
		return
	}
	l.underway = false
	if !l.up {
		l.dialing.Failed(c.now(), false)
		l.failed = l.begun
		l.changed(linkDown)
		return
	}
	if l.begun == 1 {
		c.dials.Give(1)
		c.dialAnother()
	}
	l.dialing.Connected()
	l.failed = 0
	l.epoch++
	l.changed(linkReady)
}

// dialAnother dials a replica that has never been dialed, for want of a budget.
func (c *Client) dialAnother() {
	for c.dialed < len(c.links) && c.links[c.dialed].begun > 0 {
		c.dialed++
	}
	for i := c.dialed; i < len(c.links); i++ {
		if l := &c.links[i]; l.begun == 0 && l.redial.Pending() && l.redial.at > c.now() {
			l.dialAt(c.now())
			return
		}
	}
}

// lose takes note that the connection is lost.
func (l *link) lose() {
	if l.broken {
		return
	}
	c, t := l.client, &l.client.tasks
	if l.broken = l.state == linkReady; l.broken {
		t.broken = append(t.broken, l)
	}
	first := len(t.queue)
	for a := l.inFlight; a != nil && a.state == attemptSent; a = a.behind {
		a.state = attemptLost
		t.queue = append(t.queue, task{loses, a.call, a})
	}
	lost := t.queue[first:]
	c.timeline.mix(len(lost), func(i, j int) { lost[i], lost[j] = lost[j], lost[i] })
}

func loses(_ *call, a *attempt) { a.ended(OutcomeLost, core.Wire{Picked: true, Sent: true}, Reply{}) }

// changed takes over a state.
func (l *link) changed(s linkState) {
	c := l.client
	if s == linkReady || l.state == linkReady {
		c.countDown(l.replica, s != linkReady)
	}
	l.state = s
	l.schedule()
	c.shared.Changed(c.members[l.replica:l.replica+1], c.line.Len() > 0, c.now())
	c.offer()
	c.reconsider()
	if l.probe != nil {
		l.probe.changed()
	}
}

// countDown takes note of whether a link is ready.
func (c *Client) countDown(replica int, down bool) {
	switch i, known := slices.BinarySearch(c.down, replica); {
	case down && !known:
		c.down = slices.Insert(c.down, i, replica)
	case !down && known:
		c.down = slices.Delete(c.down, i, i+1)
	}
}

// wake makes sure that the replica's state is fresh enough to rely on, and returns the number of
// the dial whose end tells an attempt what to do.
func (l *link) wake() uint64 {
	l.client.wanted = l.client.now()
	if l.dialable() {
		l.dial()
	}
	return core.Awaited(l.begun, l.failed, l.underway)
}

// reconsider lets the attempts that wait for a connection look again, as a link has changed.
func (c *Client) reconsider() {
	t := &c.tasks
	first := len(t.queue)
	for _, a := range c.pending {
		t.queue = append(t.queue, task{looks, a.call, a})
	}
	looking := t.queue[first:]
	c.timeline.mix(len(looking), func(i, j int) { looking[i], looking[j] = looking[j], looking[i] })
}

// looks is what an attempt does that waits for a connection.
func looks(_ *call, a *attempt) {
	if a.state == attemptPending {
		a.forget()
		a.look()
	}
}
