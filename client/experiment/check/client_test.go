package check

import (
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

// client makes one call of a world.
type client struct {
	*world
	record record.Call
	round  int
	order  []int // of the replicas
	turn   int   // index of the next replica in order
	tries  []*try
	over   bool
	result record.Result // of a canceled call, with code
	code   codes.Code
	gone   bool // it was canceled
}

// try is an attempt of a call.
type try struct {
	*client
	node    *node
	process *process
	record  record.Attempt
	start   time.Duration
	over    bool // it has ended for the client

	arrived, worked, replied bool // at the replica
	arrival                  uint64
	value                    uint64
}

// next makes the next attempt or ends the call.
func (c *client) next() {
	switch {
	case c.gone:
		c.end(c.result, nil)
		return
	case c.turn == len(c.order) && c.round == c.rounds:
		c.code = codes.Unavailable
		c.end(record.ResultFailed, nil)
		return
	case c.turn == len(c.order):
		c.round++
		c.turn = 0
		c.in(5*ms, c.next)
		return
	}
	t := c.try(false)
	if c.hedge > 0 {
		c.in(c.hedge, func() {
			if !t.over && !c.gone && c.turn < len(c.order) && c.nodes[c.order[c.turn]].process != nil {
				c.try(true)
			}
		})
	}
}

// try makes an attempt at the next replica in order.
func (c *client) try(hedge bool) *try {
	n := c.nodes[c.order[c.turn]]
	c.turn++
	t := &try{client: c, node: n, process: n.process, start: c.now, record: record.Attempt{
		Number: len(c.tries) + 1, Round: c.round, Replica: n.name, Start: c.now.Truncate(us), Sent: true, Hedge: hedge,
	}}
	c.tries = append(c.tries, t)
	if n.process == nil {
		o := failover.OutcomeRefused
		if c.chance(0.1) {
			o = failover.OutcomeLost // the client has not noticed yet that the connection broke
		}
		t.record.Sent = o == failover.OutcomeLost
		c.in(c.upTo(ms), func() { t.finish(o, codes.Unavailable) })
		return t
	}
	n.process.tries = append(n.process.tries, t)
	c.in(c.upTo(ms), func() { t.process.arrive(t) })
	if c.timeout > 0 {
		c.in(c.timeout, func() { t.finish(failover.OutcomeTimeout, codes.DeadlineExceeded) })
	}
	return t
}

// reply sends the answer.
func (t *try) reply(value uint64) {
	t.replied, t.value = true, value
	t.in(t.upTo(ms), func() { t.finish(failover.OutcomeOK, codes.OK) })
}

// finish ends the attempt, unless it has ended, and then ends the call or makes the next attempt.
func (t *try) finish(o failover.Outcome, code codes.Code) {
	if t.over {
		return
	}
	t.over = true
	t.record.Duration, t.record.Outcome, t.record.Code = (t.now - t.start).Truncate(us), o, code
	c := t.client
	waits := slices.ContainsFunc(c.tries, func(t *try) bool { return !t.over })
	if o == failover.OutcomeOK && waits { // cancel the other attempt, unless its answer is under way
		for _, other := range c.tries {
			if !other.over && !other.replied {
				other.finish(failover.OutcomeCanceled, codes.Canceled)
				return
			}
		}
	}
	if waits {
		return
	}
	if i := slices.IndexFunc(c.tries, func(t *try) bool { return t.record.Outcome == failover.OutcomeOK }); i >= 0 {
		c.end(record.ResultOK, c.tries[i])
		return
	}
	c.next()
}

// cancel ends the call from outside.
func (c *client) cancel(result record.Result, code codes.Code) {
	if c.over || c.gone {
		return
	}
	c.gone, c.result, c.code = true, result, code
	for _, t := range slices.Clone(c.tries) {
		t.finish(failover.OutcomeCanceled, code) // the last one ends the call
	}
}

// end ends the call.
func (c *client) end(result record.Result, by *try) {
	if c.over {
		return
	}
	c.over = true
	r := &c.record
	r.Result, r.Code = result, c.code
	if by != nil {
		r.Code = codes.OK
		r.Replica, r.Incarnation, r.Value = by.node.name, by.process.count.Incarnation, by.value
	}
	r.Start, r.Intended, r.Duration = r.Start.Truncate(us), r.Intended.Truncate(us), (c.now - r.Start).Truncate(us)
	for _, t := range c.tries {
		r.Attempts = append(r.Attempts, t.record)
	}
	c.seen.Calls = append(c.seen.Calls, *r)
	c.in(0, c.work)
}
