package virtual

import "slices"

// task is what a call does when it is its turn: what a goroutine does in the real client, until it
// waits for something.
type task struct {
	do      func(*call, *attempt)
	call    *call
	attempt *attempt
}

// tasks is what is to be done at this time.
type tasks struct {
	running bool
	current *call // whose task is being done
	then    task  // what it does next
	queue   []task
	done    int      // of queue
	probes  []*probe // that are due at once
	broken  []*link  // whose state is to change
}

// wake lets the call do something: at once, where it is its turn.
func (k *call) wake(do func(*call, *attempt)) {
	t := &k.client.tasks
	if x := (task{do: do, call: k}); t.current == k {
		t.then = x
	} else {
		t.queue = append(t.queue, x)
	}
}

// any reports whether there is a task.
func (t *tasks) any() bool {
	if t.done == len(t.queue) {
		t.queue, t.done = t.queue[:0], 0
	}
	return t.done < len(t.queue)
}

// run does all that is to be done now. A connection that has broken is known to have only when the
// calls have gone on that were lost with it: gRPC tells the attempts first. With Timeline.Ties, it
// may be known earlier.
func (c *Client) run() {
	t := &c.tasks
	if t.running {
		return // a task calls it
	}
	t.running = true
	for {
		switch {
		case len(t.broken) > 0 && c.isKnown():
			l := t.broken[0]
			t.broken = slices.Delete(t.broken, 0, 1)
			l.broken, l.broke = false, l.epoch
			l.changed(linkIdle)
		case t.any():
			t.done++
			c.do(t.queue[t.done-1])
		case len(t.probes) > 0:
			p := t.probes[0]
			t.probes = slices.Delete(t.probes, 0, 1)
			p.ask()
		default:
			t.running = false
			return
		}
	}
}

// isKnown reports whether it is known by now that a connection is lost.
func (c *Client) isKnown() bool {
	switch t := &c.tasks; {
	case t.any():
		return c.timeline.tie(TieLoss, 2) == 1
	case len(t.probes) > 0:
		return c.timeline.tie(TieProbe, 2) == 1
	}
	return true
}

// do does a task, and what its call does next, until that waits.
func (c *Client) do(x task) {
	t := &c.tasks
	t.current = x.call
	for x.do != nil {
		x.do(x.call, x.attempt)
		x, t.then = t.then, task{}
	}
	t.current = nil
}
