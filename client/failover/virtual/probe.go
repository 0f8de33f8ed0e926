package virtual

import (
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// probe checks an ejected replica until it is healthy.
type probe struct {
	client *Client
	link   *link
	member core.Member
	watch  core.Watch

	due, answered, trial Timer
	began                time.Duration // when the latest request began
	found                core.Finding  // its result
	epoch                uint64        // of the connection it was sent on
}

// ejected schedules the probes of an ejected replica.
func (c *Client) ejected(m core.Member, w core.Watch) {
	l := m.Link.(*link)
	p := &probe{client: c, link: l, member: m, watch: w}
	p.due.Do = func() { p.ask(); c.run() }
	p.answered.Do = func() { p.judge(); c.run() }
	p.trial.Do = func() {
		if p.member.StartTrial(w.Number, c.now()) {
			c.offer()
		}
		c.run()
	}
	if w.Probe == 0 {
		c.tasks.probes = append(c.tasks.probes, p) // the replica is locked now
	} else {
		c.timeline.Set(&p.due, after(c.now(), w.Probe))
	}
	c.timeline.Set(&p.trial, after(c.now(), w.Trial))
}

// ask probes the replica. A replica without a connection counts as unhealthy.
func (p *probe) ask() {
	c := p.client
	if !p.member.Watched(p.watch.Number) {
		c.timeline.Stop(&p.trial)
		return
	}
	p.began, p.found = c.now(), core.FindingUnhealthy
	switch {
	case !p.link.Ready():
		p.judge()
	case p.link.broken:
		p.link.probe = p // wait for the next connection
		c.timeline.Set(&p.answered, p.overdue())
	default:
		p.send()
	}
}

// overdue returns when the latest request times out.
func (p *probe) overdue() time.Duration { return p.began + p.client.policy.Ejection.Probe }

// send sends the request.
func (p *probe) send() {
	c := p.client
	took, found := c.world.Probe(p.link.replica)
	at := after(c.now(), took)
	if at < p.overdue() {
		p.found = found
	}
	p.epoch = p.link.epoch
	c.timeline.Set(&p.answered, min(at, p.overdue()))
}

// changed goes on with a probe that waits for a connection.
func (p *probe) changed() {
	switch {
	case p.link.Ready():
		p.link.probe = nil
		p.send()
	case p.link.Down():
		p.link.probe = nil
		p.client.timeline.Stop(&p.answered)
		p.judge()
	}
}

// judge records the result, and schedules the next probe unless the replica is healthy.
func (p *probe) judge() {
	c := p.client
	found := p.found
	if p.link.probe == p {
		p.link.probe = nil
	}
	if p.epoch <= p.link.brokenEpoch {
		found = core.FindingUnhealthy // the connection has broken
	}
	if p.member.Probed(p.watch.Number, found, c.now(), func() {}) {
		c.offer()
		return
	}
	c.timeline.Set(&p.due, c.now()+c.policy.Ejection.Interval(c.now()-p.began))
}
