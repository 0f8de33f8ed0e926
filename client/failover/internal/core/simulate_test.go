package core_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// limiter sets how many attempts a simulation may have in flight at a replica, and learns how they
// end.
type limiter interface {
	Limit() int
	Survived()
	Crashed()
}

// fixed is a constant limit; zero means none.
type fixed int

func (l fixed) Limit() int { return int(l) }
func (fixed) Survived()    {}
func (fixed) Crashed()     {}

func (l fixed) String() string {
	if l == 0 {
		return "none"
	}
	return strconv.Itoa(int(l))
}

// world is a cluster of crashing replicas and the closed-loop callers that share it.
type world struct {
	replicas int
	restart  time.Duration    // from a crash to ready again
	service  [2]time.Duration // an attempt's service time is uniform between these
	crash    float64          // probability that an attempt crashes its replica
	reply    bool             // crash point: reply instead of arrival

	callers  int
	deadline time.Duration // of a call
	tries    int           // attempts a call may make at each replica
	limit    limiter
}

// tally is how the calls of a simulation ended.
type tally struct {
	ok, failed int
	elapsed    time.Duration
}

// success is the share of calls that succeeded.
func (t tally) success() float64 { return float64(t.ok) / float64(max(t.ok+t.failed, 1)) }

// throughput is successful calls per second.
func (t tally) throughput() float64 { return float64(t.ok) / t.elapsed.Seconds() }

func (t tally) String() string { return fmt.Sprintf("%7.2f%8.2f", 100*t.success(), t.throughput()) }

// simulate runs the world in virtual time until the given number of calls have ended, after a
// warm-up of a tenth as many. What the k-th attempt at a replica meets depends on the seed alone,
// so that limits are compared with the same luck.
func simulate(w world, calls int, seed uint64) tally {
	s := start(w, seed)
	s.runUntilEnded(calls / 10)
	skipped, from := s.tally, s.now
	s.runUntilEnded(calls/10 + calls)
	return tally{ok: s.ok - skipped.ok, failed: s.failed - skipped.failed, elapsed: s.now - from}
}

// start returns the world at the moment when every caller makes its first call.
func start(w world, seed uint64) *simulation {
	s := &simulation{world: w}
	for i := range w.replicas {
		s.replica = append(s.replica, &replica{index: i, up: true, luck: rand.New(rand.NewPCG(seed, uint64(i)))})
	}
	for range w.callers {
		s.call()
	}
	s.dispatch()
	return s
}

type simulation struct {
	world
	timeline
	tally
	replica []*replica
	waiting []*call    // oldest first
	free    []*replica // scratch of available
	calls   int
}

type replica struct {
	index    int
	up       bool
	inFlight []*attempt
	luck     *rand.Rand
}

type call struct {
	number int
	tries  []int // per replica
	now    *attempt
	ended  bool
}

type attempt struct {
	call    *call
	replica *replica
	ended   bool
}

func (s *simulation) runUntilEnded(calls int) {
	for s.ok+s.failed < calls {
		s.step()
		s.dispatch()
	}
}

// call begins the next call of a caller.
func (s *simulation) call() {
	c := &call{number: s.calls, tries: make([]int, len(s.replica))}
	s.calls++
	s.waiting = append(s.waiting, c)
	s.after(s.deadline, func() {
		if !c.ended {
			s.endCall(c, &s.failed)
		}
	})
}

func (s *simulation) endCall(c *call, count *int) {
	*count++
	c.ended = true
	if c.now != nil {
		s.endAttempt(c.now)
	} else if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	s.call()
}

// dispatch sends waiting calls to the replicas that are available, the oldest first.
func (s *simulation) dispatch() {
	free := s.available()
	for i := 0; i < len(s.waiting) && len(free) > 0; {
		c := s.waiting[i]
		r := s.choose(c, free)
		if r == nil {
			i++
			continue
		}
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.attempt(c, r)
		free = s.available()
		i = 0 // a crash has brought older calls back
	}
}

// available returns the replicas that are up and below the limit.
func (s *simulation) available() []*replica {
	s.free = s.free[:0]
	limit := s.limit.Limit()
	for _, r := range s.replica {
		if r.up && (limit == 0 || len(r.inFlight) < limit) {
			s.free = append(s.free, r)
		}
	}
	return s.free
}

// choose returns the replica that the call has tried least often and, of these, the one with the
// fewest attempts in flight. It returns nil if the call may not try any of them again.
func (s *simulation) choose(c *call, free []*replica) *replica {
	var best *replica
	for _, r := range free {
		tries := c.tries[r.index]
		if tries < s.tries && (best == nil || tries < c.tries[best.index] ||
			tries == c.tries[best.index] && len(r.inFlight) < len(best.inFlight)) {
			best = r
		}
	}
	return best
}

func (s *simulation) attempt(c *call, r *replica) {
	a := &attempt{call: c, replica: r}
	c.now = a
	c.tries[r.index]++
	r.inFlight = append(r.inFlight, a)
	crash := r.luck.Float64() < s.crash
	took := s.service[0] + time.Duration(r.luck.Int64N(int64(s.service[1]-s.service[0])))
	if crash && !s.reply {
		s.crashReplica(r)
		return
	}
	s.after(took, func() {
		switch {
		case a.ended:
		case crash:
			s.crashReplica(r)
		default:
			s.endAttempt(a)
			s.limit.Survived()
			s.endCall(c, &s.ok)
		}
	})
}

func (s *simulation) endAttempt(a *attempt) {
	a.ended = true
	a.call.now = nil
	i := slices.Index(a.replica.inFlight, a)
	a.replica.inFlight = slices.Delete(a.replica.inFlight, i, i+1)
}

func (s *simulation) crashReplica(r *replica) {
	r.up = false
	s.limit.Crashed()
	for _, a := range slices.Clone(r.inFlight) {
		s.endAttempt(a)
		s.again(a.call)
	}
	s.after(s.restart, func() { r.up = true })
}

// again makes a call whose attempt was lost wait for another, or ends it.
func (s *simulation) again(c *call) {
	if slices.Min(c.tries) >= s.tries {
		s.endCall(c, &s.failed)
		return
	}
	i, _ := slices.BinarySearchFunc(s.waiting, c, func(a, b *call) int { return a.number - b.number })
	s.waiting = slices.Insert(s.waiting, i, c)
}

// timeline is virtual time, with events in order.
type timeline struct {
	now   time.Duration
	queue queue
	count int
}

type event struct {
	at    time.Duration
	order int // breaks ties: the event planned first happens first
	do    func()
}

func (t *timeline) after(d time.Duration, do func()) {
	heap.Push(&t.queue, event{t.now + d, t.count, do})
	t.count++
}

func (t *timeline) step() {
	e := heap.Pop(&t.queue).(event)
	t.now = e.at
	e.do()
}

type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q *queue) Push(e any) { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
