package virtual

import (
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// linkState is the state of a link.
type linkState uint8

const (
	linkIdle       linkState = iota // the connection is lost, and no dial has begun
	linkConnecting                  // a dial is under way, or the first is to come
	linkReady
	linkDown // the last dial failed
)

// link is the connection to a replica. It implements core.Link.
type link struct {
	client  *Client
	replica int

	state       linkState
	epoch       uint64
	begun       uint64        // number of the last dial
	failed      uint64        // number of the last dial that failed, zero while there is a connection
	broken      bool          // the connection has broken, but this is not known yet
	brokenEpoch uint64        // epoch of the last connection that broke
	underway    bool          // a dial is under way
	knocks      bool          // that dial only checks whether something accepts connections
	up          bool          // that dial will succeed
	overdue     time.Duration // when that dial fails in any case
	dialing     core.Dialing
	redial      Timer // starts the next dial
	ends        Timer // ends the dial under way

	inFlight *attempt // first of a ring of attempts on the connection, and on earlier ones that drain
	probe    *probe   // waiting for a connection, or nil
}

func (l *link) init(c *Client, i int) {
	l.client, l.replica, l.state = c, i, linkConnecting
	l.redial.Do = func() { l.dial(); c.run() }
	l.ends.Do = func() { l.dialed(); c.run() }
}

func (l *link) key() uint32 { return uint32(l.replica + 1) }

// Ready implements core.Link, like the next three methods.
func (l *link) Ready() bool   { return l.state == linkReady }
func (l *link) Down() bool    { return l.state == linkDown }
func (l *link) Dialing() bool { return l.state == linkConnecting && l.failed == 0 }
func (l *link) Epoch() uint64 { return l.epoch }

// demand reports whether calls want the replicas that are down.
func (c *Client) demand() bool {
	return c.policy.Redial.Wanted(c.line.Len() > 0, c.now()-c.wanted)
}

// want records that a call is being made, so that replicas that are down are dialed often.
func (c *Client) want() {
	if len(c.down) == 0 || c.policy.Redial.Fresh(c.now()-c.wanted) {
		return
	}
	c.wanted = c.now()
	c.dialMissing()
}

// dialMissing schedules the dials of replicas that are down.
func (c *Client) dialMissing() {
	for _, i := range c.down {
		c.links[i].schedule()
	}
}

// dialable reports whether there is neither a connection nor a dial under way.
func (l *link) dialable() bool { return !l.underway && l.state != linkReady }

// schedule schedules the next dial of a replica without a connection.
func (l *link) schedule() {
	if l.dialable() {
		c := l.client
		l.dialAt(l.dialing.Due(c.policy.Redial, len(c.down), c.demand()))
	}
}

// dialAt schedules a dial for the given time, unless an earlier one is scheduled.
func (l *link) dialAt(at time.Duration) {
	if !l.redial.Pending() || l.redial.at > at {
		l.client.timeline.Set(&l.redial, at)
	}
}

// dial dials if that is due and the budget allows it; otherwise it schedules the dial.
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

// reach asks the World how the dial under way ends.
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

// dialed is called when the dial under way has ended.
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

// dialAnother dials a replica that has never been dialed because the budget was spent.
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

// lose breaks the connection, with the attempts in flight.
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

// changed applies a new state.
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

// countDown adds the replica to down, or removes it.
func (c *Client) countDown(replica int, down bool) {
	switch i, known := slices.BinarySearch(c.down, replica); {
	case down && !known:
		c.down = slices.Insert(c.down, i, replica)
	case !down && known:
		c.down = slices.Delete(c.down, i, i+1)
	}
}

// wake dials if a dial is due, and returns the number of the dial that an attempt must wait for.
func (l *link) wake() uint64 {
	l.client.wanted = l.client.now()
	if l.dialable() {
		l.dial()
	}
	return core.Awaited(l.begun, l.failed, l.underway)
}

// reconsider makes attempts that wait for a connection look again, because a link has changed.
func (c *Client) reconsider() {
	t := &c.tasks
	first := len(t.queue)
	for _, a := range c.pending {
		t.queue = append(t.queue, task{looks, a.call, a})
	}
	looking := t.queue[first:]
	c.timeline.mix(len(looking), func(i, j int) { looking[i], looking[j] = looking[j], looking[i] })
}

// looks is the task of an attempt that waits for a connection.
func looks(_ *call, a *attempt) {
	if a.state == attemptPending {
		a.forget()
		a.look()
	}
}
