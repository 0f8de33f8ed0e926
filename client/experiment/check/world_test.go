package check

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// bug is a bug of the counters of a world.
type bug int

const (
	healthy         bug = iota
	lostUpdate          // a request gets the next value, but is not counted
	duplicatedReply     // a request is counted, but gets the value of the request before
	unnoticedReset      // the count restarts while the process lives on
	doubleCount         // a request is counted twice
)

func (b bug) String() string {
	return [...]string{"healthy", "lost update", "duplicated reply", "unnoticed reset", "double count"}[b]
}

// world is an invented cluster with its client and supervisor in virtual time. It makes the records
// of a trial.
type world struct {
	rng   *rand.Rand
	now   time.Duration
	queue agenda
	seen  record.TrialRecords

	pCrash, pError, pKill     float64
	point                     fault.CrashPoint
	service, restart, timeout time.Duration // a negative restart means never, a zero timeout none
	deadline, hedge           time.Duration // zero means none
	rounds, calls             int
	bug                       bug
	pBug                      float64 // probability that a request meets the bug
	struck                    int     // how many requests have met it

	nodes   []*node
	started int // calls
	busy    int // workers
	ending  bool
	aborted bool
	noAbort bool
	open    []*client // all calls
}

// newWorld draws a world from the seed.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...time.Duration) time.Duration { return of[rng.IntN(len(of))] }
	w := &world{
		rng: rng, point: fault.CrashPoint(rng.IntN(2)), pCrash: []float64{0, 0.02, 0.1, 0.3}[rng.IntN(4)],
		service: pick(0, ms, 20*ms), restart: pick(-1, 0, 50*ms, time.Second), timeout: pick(0, 5*ms, 100*ms),
		rounds: 1 + rng.IntN(3), calls: 20 + rng.IntN(180), pBug: 0.1,
	}
	if rng.IntN(4) == 0 {
		w.pError = 0.05
	}
	if rng.IntN(4) == 0 {
		w.pKill = 0.02
	}
	if rng.IntN(3) == 0 {
		w.deadline = pick(10*ms, 200*ms)
	}
	if rng.IntN(3) == 0 {
		w.hedge = pick(ms, 10*ms)
	}
	w.seen.Number = 1
	for i := range 1 + rng.IntN(3) {
		w.nodes = append(w.nodes, &node{world: w, name: string(rune('a' + i))})
	}
	return w
}

// run runs the trial.
func (w *world) run(workers int) record.TrialRecords {
	for _, n := range w.nodes {
		n.launch(-20*ms - w.upTo(ms))
	}
	w.busy = workers
	for range workers {
		w.at(0, w.work)
	}
	if !w.noAbort && w.rng.IntN(4) == 0 {
		w.at(w.upTo(time.Second), w.abort)
	}
	for len(w.queue) > 0 {
		next := heap.Pop(&w.queue).(task)
		w.now = next.at
		next.do()
	}
	for _, n := range w.nodes {
		n.stop()
	}
	slices.SortStableFunc(w.seen.Events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
	w.guessIncarnations()
	return w.seen
}

// guessIncarnations sets the incarnations of the attempts as package trials does.
func (w *world) guessIncarnations() {
	for i := range w.seen.Calls {
		c := &w.seen.Calls[i]
		for k := range c.Attempts {
			a := &c.Attempts[k]
			if a.Outcome == failover.OutcomeOK && c.Result == record.ResultOK {
				a.Incarnation = c.Incarnation
				continue
			}
			for _, e := range w.seen.Events {
				if p := e.Process; p != nil && p.Kind == event.KindLaunched && p.Replica == a.Replica && e.At <= a.Start {
					a.Incarnation = p.Incarnation
				}
			}
		}
	}
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d) + 1)) }

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// in calls do after d.
func (w *world) in(d time.Duration, do func()) { w.at(w.now+d, do) }

func (w *world) at(t time.Duration, do func()) { heap.Push(&w.queue, task{t, do}) }

func (w *world) event(at time.Duration, p *event.Event, c *record.Count) {
	w.seen.Events = append(w.seen.Events, record.Event{Trial: 1, At: at.Truncate(us), Process: p, Count: c})
}

// work makes the next call of a worker of a closed loop.
func (w *world) work() {
	if w.started == w.calls || w.aborted {
		if w.busy--; w.busy == 0 {
			w.ending = true
		}
		return
	}
	w.started++
	c := &client{world: w, record: record.Call{Trial: 1, Number: w.started, Intended: w.now, Start: w.now}, round: 1, order: w.rng.Perm(len(w.nodes))}
	w.open = append(w.open, c)
	if w.deadline > 0 {
		w.in(w.deadline, func() { c.cancel(record.ResultFailed, codes.DeadlineExceeded) })
	}
	c.next()
}

// abort interrupts the run.
func (w *world) abort() {
	w.aborted = true
	for _, c := range w.open {
		c.cancel(record.ResultInterrupted, codes.Canceled)
	}
}

// node is a replica.
type node struct {
	*world
	name    string
	n       int // incarnations
	process *process
}

// process is an incarnation.
type process struct {
	*node
	count    record.Count
	last     uint64 // value
	dead     bool
	tries    []*try // sent to it
	launched time.Duration
}

func (n *node) launch(at time.Duration) {
	if n.ending {
		return
	}
	n.n++
	p := &process{node: n, count: record.Count{Replica: n.name, Incarnation: n.n}, launched: at + n.upTo(3*ms)}
	n.process = p
	n.event(p.launched, &event.Event{Kind: event.KindLaunched, Replica: n.name, Incarnation: n.n}, nil)
	n.event(p.launched+ms, &event.Event{Kind: event.KindReady, Replica: n.name, Incarnation: n.n}, nil)
}

// stop stops the replica gracefully.
func (n *node) stop() {
	if p := n.process; p != nil {
		p.count.InFlight = 0
		n.event(n.now+ms, nil, &p.count)
		p.end(restart.Exit{}, n.now+2*ms)
	}
}

// end ends the process. The supervisor notices the exit at the given time.
func (p *process) end(exit restart.Exit, noticed time.Duration) {
	p.dead, p.process = true, nil
	noticed = max(noticed, p.launched) // so that the exit follows the launch
	p.event(noticed, &event.Event{Kind: event.KindExited, Replica: p.name, Incarnation: p.count.Incarnation, Exit: exit}, nil)
	if p.restart >= 0 {
		p.at(noticed+p.restart, func() { p.launch(p.now) })
	}
	for _, t := range p.tries {
		if !t.replied {
			p.in(p.upTo(ms), func() { t.finish(failover.OutcomeLost, codes.Unavailable) })
		}
	}
}

// crash makes a request crash the process. After it has read its counts, others in flight may still
// be counted and even answered.
func (p *process) crash(by *try) {
	reported := p.count
	reported.InFlight--
	reported.Crash = by.arrival
	p.event(p.now+p.upTo(2*ms), nil, &reported)
	for _, t := range p.tries {
		if t != by && t.arrived && !t.worked && p.chance(0.3) {
			t.worked = true
			if v := p.increment(); p.chance(0.5) {
				t.reply(v)
			}
		}
	}
	p.end(restart.Exit{Code: 1}, p.now+p.upTo(3*ms))
}

// arrive delivers an attempt to the process.
func (p *process) arrive(t *try) {
	if p.dead || t.over && p.chance(0.5) {
		return
	}
	p.count.Arrived++
	p.count.InFlight++
	t.arrived, t.arrival = true, p.count.Arrived
	crashes := p.chance(p.pCrash)
	switch {
	case p.chance(p.pKill):
		p.end(restart.Exit{Code: -1, Signal: 9}, p.now+p.upTo(3*ms))
	case crashes && p.point == fault.CrashPointArrival:
		p.crash(t)
	case p.chance(p.pError):
		p.count.InFlight--
		t.worked, t.replied = true, true
		p.in(p.upTo(ms), func() { t.finish(failover.OutcomeFailed, codes.Unavailable) })
	default:
		p.in(p.upTo(p.service), func() { p.serve(t, crashes) })
	}
}

// serve completes the work on an attempt.
func (p *process) serve(t *try, crashes bool) {
	if p.dead {
		return
	}
	t.worked = true
	if t.over && p.chance(0.7) { // the cancellation has arrived
		p.count.InFlight--
		return
	}
	value := p.increment()
	if crashes {
		p.crash(t)
		return
	}
	p.count.InFlight--
	t.reply(value)
}

// increment is the counter, with the bug of the world.
func (p *process) increment() uint64 {
	last := p.last
	p.count.Counted++
	p.last = p.count.Counted
	if p.bug == healthy || last == 0 || !p.chance(p.pBug) {
		return p.last
	}
	p.struck++
	switch p.bug {
	case lostUpdate:
		p.count.Counted--
	case duplicatedReply:
		p.last = last
	case unnoticedReset:
		p.count.Counted, p.last = 1, 1
	case doubleCount:
		p.count.Counted++
		p.last++
	}
	return p.last
}

// agenda is a heap of tasks, the next first.
type agenda []task

type task struct {
	at time.Duration
	do func()
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(task)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	t := (*a)[last]
	*a = (*a)[:last]
	return t
}
