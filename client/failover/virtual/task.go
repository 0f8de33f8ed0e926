package virtual

import "slices"

// task is what a call does in its turn: in the real client, what a goroutine does until it blocks.
type task struct {
	do      func(*call, *attempt)
	call    *call
	attempt *attempt
}

// tasks holds what remains to be done at the current time.
type tasks struct {
	running bool
	current *call // whose task is running
	then    task  // its next task
	queue   []task
	done    int      // how many of queue are done
	probes  []*probe // due at once
	broken  []*link  // whose loss is not known yet
}

// wake gives the call a task, which runs next if it is the turn of the call.
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

// run does all tasks. The loss of a connection becomes known before the calls lost with it go on.
// gRPC ends their attempts first, but on more than one processor its report is faster than their
// goroutines. With Timeline.Ties it may become known later.
func (c *Client) run() {
	t := &c.tasks
	if t.running {
		return // called by a task
	}
	t.running = true
	for {
		switch {
		case len(t.broken) > 0 && c.isKnown():
			l := t.broken[0]
			t.broken = slices.Delete(t.broken, 0, 1)
			l.broken, l.brokenEpoch = false, l.epoch
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

// isKnown reports whether the loss of a connection becomes known now.
func (c *Client) isKnown() bool {
	switch t := &c.tasks; {
	case t.any():
		return c.timeline.tie(TieLoss, 2) == 0
	case len(t.probes) > 0:
		return c.timeline.tie(TieProbe, 2) == 1
	}
	return true
}

// do runs a task and the tasks that follow it in the same call.
func (c *Client) do(x task) {
	t := &c.tasks
	t.current = x.call
	for x.do != nil {
		x.do(x.call, x.attempt)
		x, t.then = t.then, task{}
	}
	t.current = nil
}
