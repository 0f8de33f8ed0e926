package supervisor

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxQueued is how many bytes of a replica's lines may wait for the sink
	// before more are refused. The line that reaches it is still taken,
	// whatever its length, so that long lines pass.
	maxQueued = 1 << 20

	// outputPatience is how long, in all, a reader waits for the sink to make
	// room before it drops lines. A child waits for its reader.
	outputPatience = 10 * time.Millisecond

	// A turn is what the sink gets of one replica before another's lines come:
	// so many bytes, or what it takes in so long.
	turnBytes = 32 << 10
	turnLimit = time.Millisecond

	flushTime  = time.Second // how long the end of Run waits for the sink
	lostPeriod = time.Second // how often the lost lines of an incarnation are told

	maxSpares = 8 // buffers kept for the next queue that needs one
)

// outputs hands the lines of all replicas to one sink, one line at a time, in
// turns. Readers put whole lines into a queue per replica, see push.
type outputs struct {
	deliver func(replica string, line []byte)     // the sink; nil: none
	lost    func(replica, group string, n uint64) // told how many lines were dropped; must not block
	ended   chan struct{}                         // closed when the last call of deliver has returned

	telling sync.Mutex // held while lost runs; taken before mu

	mu      sync.Mutex
	queues  map[string]*queue
	ready   []*queue   // with lines to deliver, the next one first
	news    *sync.Cond // of ready and closing
	closing bool       // no more lines come
	closed  bool       // no more lines go
	spares  [][]byte
	// handed is how many bytes of the batch in hand the sink was given; -1: it
	// gets no more.
	handed atomic.Int64
}

// queue is the lines of one replica that wait for the sink.
type queue struct {
	replica string
	group   string // of the latest launch
	readers int
	batch   []byte // whole lines, each with its newline; the sink gets these now
	coming  []byte // and these next
	base    []byte // the buffer that batch lies in

	taken    uint64        // bytes put in so far
	done     uint64        // bytes the sink was given so far
	end      uint64        // where the lines of the reader that ended last do
	awaited  chan struct{} // to be closed when the sink was given those; nil: done
	patience time.Duration
	dropping bool
	room     chan struct{} // one token: some was made since

	lost uint64      // lines dropped, and not told yet
	tell *time.Timer // tells them; nil: there are none
}

func newOutputs(deliver func(replica string, line []byte), lost func(replica, group string, n uint64)) *outputs {
	o := &outputs{deliver: deliver, lost: lost, ended: make(chan struct{}), queues: make(map[string]*queue)}
	o.news = sync.NewCond(&o.mu)
	go o.run()
	return o
}

// attach returns a replica's queue, for one more reader.
func (o *outputs) attach(replica, group string) *queue {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queues[replica]
	if q == nil {
		q = &queue{replica: replica, patience: outputPatience, room: make(chan struct{}, 1)}
		o.queues[replica] = q
	}
	q.group = group
	q.readers++
	return q
}

// detach tells what a reader lost, and closes its channel delivered when the
// sink was given all that came before. It does so too when another reader
// ends before that: the next incarnation's, so that nobody waits any more.
func (o *outputs) detach(r *reader) {
	q := r.queue
	o.tellLost(q)
	o.mu.Lock()
	defer o.mu.Unlock()
	if q.awaited != nil {
		close(q.awaited)
	}
	q.end, q.awaited = q.taken, r.delivered
	q.readers--
	o.settle(q)
}

// push queues whole lines, each with its newline. Where there is no room it
// waits for some, but no longer than outputPatience in all; after that it
// drops lines until the sink has taken half of what it was to get. Only that
// renews the patience, so that a sink which is slow rather than stuck costs
// the child no more.
func (o *outputs) push(q *queue, lines []byte) {
	if o.deliver == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(lines) > 0 {
		n := q.fit(lines)
		switch {
		case q.dropping:
			o.drop(q, lines)
			return
		case n == 0:
			q.dropping = !o.wait(q)
		default:
			o.put(q, lines[:n])
			lines = lines[n:]
		}
	}
}

func (q *queue) size() int { return int(q.taken - q.done) }

// fit returns how many bytes of lines there is room for, up to a newline.
func (q *queue) fit(lines []byte) int {
	room := maxQueued - q.size()
	switch {
	case room <= 0:
		return 0
	case len(lines) <= room:
		return len(lines)
	}
	if n := bytes.LastIndexByte(lines[:room], '\n') + 1; n > 0 {
		return n
	}
	return bytes.IndexByte(lines, '\n') + 1
}

func (o *outputs) put(q *queue, lines []byte) {
	if q.size() == 0 {
		o.ready = append(o.ready, q)
		o.news.Signal()
	}
	if n := len(o.spares); q.coming == nil && n > 0 {
		q.coming, o.spares = o.spares[n-1], o.spares[:n-1]
	}
	q.coming = append(q.coming, lines...)
	q.taken += uint64(len(lines))
}

// wait waits for room, without mu meanwhile, and reports whether some was made
// in time.
func (o *outputs) wait(q *queue) bool {
	begin := time.Now()
	timeout := time.NewTimer(q.patience)
	defer timeout.Stop()
	o.mu.Unlock()
	made := true
	select {
	case <-q.room:
	case <-timeout.C:
		made = false
	}
	o.mu.Lock()
	q.patience -= time.Since(begin)
	return made
}

func (o *outputs) drop(q *queue, lines []byte) {
	q.lost += uint64(bytes.Count(lines, []byte{'\n'}))
	if q.tell == nil {
		q.tell = time.AfterFunc(lostPeriod, func() { o.tellLost(q) })
	}
}

func (o *outputs) tellLost(q *queue) {
	o.telling.Lock()
	defer o.telling.Unlock()
	o.mu.Lock()
	n := q.lost
	q.lost = 0
	group := q.group
	if q.tell != nil {
		q.tell.Stop()
		q.tell = nil
	}
	o.mu.Unlock()
	if n > 0 {
		o.lost(q.replica, group, n)
	}
}

// run is the one goroutine that calls deliver.
func (o *outputs) run() {
	defer close(o.ended)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.ready) == 0 && !o.closing {
			o.news.Wait()
		}
		if len(o.ready) == 0 || o.closed {
			return
		}
		q := o.ready[0]
		if len(q.batch) == 0 {
			q.batch, q.base, q.coming = q.coming, q.coming, nil
		}
		o.handed.Store(0)
		batch := q.batch // cut changes it meanwhile
		o.mu.Unlock()
		n := o.turn(q.replica, batch)
		o.mu.Lock()
		if o.closed {
			return // and close has counted the rest
		}
		o.ready = slices.Delete(o.ready, 0, 1)
		o.handedOver(q, n)
	}
}

// turn delivers lines of a batch, and returns how many bytes they are.
func (o *outputs) turn(replica string, batch []byte) int {
	begin, n := time.Now(), 0
	for n < len(batch) && n < turnBytes {
		end := n + bytes.IndexByte(batch[n:], '\n')
		if !o.handed.CompareAndSwap(int64(n), int64(end+1)) {
			break
		}
		o.deliver(replica, batch[n:end:end])
		n = end + 1
		if time.Since(begin) > turnLimit {
			break
		}
	}
	return n
}

// handedOver takes n bytes that the sink was given out of a queue.
func (o *outputs) handedOver(q *queue, n int) {
	q.batch = q.batch[n:]
	q.done += uint64(n)
	if len(q.batch) == 0 {
		if cap(q.base) <= readSize && len(o.spares) < maxSpares {
			o.spares = append(o.spares, q.base[:0])
		}
		q.batch, q.base = nil, nil
	}
	if q.size() > 0 {
		o.ready = append(o.ready, q)
	}
	if q.size() <= maxQueued/2 {
		q.dropping, q.patience = false, outputPatience
	}
	select {
	case q.room <- struct{}{}:
	default:
	}
	o.settle(q)
}

// settle tells that the sink was given what is awaited, and lets a queue go
// that nobody uses, as replicas come and go.
func (o *outputs) settle(q *queue) {
	if q.awaited != nil && q.end <= q.done {
		close(q.awaited)
		q.awaited = nil
	}
	if q.readers == 0 && q.size() == 0 {
		delete(o.queues, q.replica)
	}
}

// close returns when the sink was given all lines, or a time has passed: the
// rest is lost then, and the sink called no more, though a call may still run.
// The last reader must have ended.
func (o *outputs) close(patience time.Duration) {
	o.mu.Lock()
	o.closing = true
	o.news.Signal()
	o.mu.Unlock()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-o.ended:
	case <-timeout.C:
	}
	for _, q := range o.cut() {
		o.tellLost(q)
	}
}

// cut ends the delivery, counts the lines that still wait as lost, and returns
// their queues.
func (o *outputs) cut() []*queue {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	handed := o.handed.Swap(-1)
	var left []*queue
	for i, q := range o.ready {
		if i == 0 && len(q.batch) > 0 {
			q.batch = q.batch[handed:]
		}
		q.lost += uint64(bytes.Count(q.batch, []byte{'\n'}) + bytes.Count(q.coming, []byte{'\n'}))
		left = append(left, q)
	}
	return left
}
