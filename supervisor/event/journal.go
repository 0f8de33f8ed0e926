package event

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// kept is how many events a journal keeps.
	kept = 4096
	// keptOutput limits the bytes of Output in them. Without a limit, 4,096 exits of verbose
	// replicas could take 80 MiB.
	keptOutput = 4 << 20
)

// ErrForgotten is wrapped by the errors of [Journal.Next] for events that are no longer kept, and
// for sequence numbers beyond the latest event.
var ErrForgotten = errors.New("these events are not kept")

// ErrEnded is returned by [Journal.Next] after the last event of a closed journal.
var ErrEnded = errors.New("no more events")

// Journal numbers events, keeps the latest 4,096 of them for readers, and delivers each one to a
// function. Of their Output it keeps the latest 4 MiB. The zero value is ready to use. Its methods
// may be called by any goroutine.
type Journal struct {
	mu      sync.Mutex
	events  []Event   // a ring buffer once it has kept elements
	count   uint64    // events so far
	output  int       // bytes of output in events
	bare    uint64    // events up to this sequence number no longer have Output
	begun   time.Time // Time of the first event
	closed  bool
	changed chan struct{} // closed at the next event and at the end; nil: no goroutine waits

	queue      []Event // not delivered yet
	delivering bool    // whether a goroutine delivers queue
	deliveries sync.WaitGroup
}

// Add appends an event. It sets Sequence and Elapsed, and Time if that is zero. Unless deliver is
// nil, a goroutine of the journal calls it with the event: one call at a time, in the order of the
// events. A call that blocks delays the next ones, but not Add.
func (j *Journal) Add(e Event, deliver func(Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if j.count == 0 {
		j.begun = e.Time
	}
	j.count++
	e.Sequence, e.Elapsed = j.count, e.Time.Sub(j.begun)
	j.keep(e)
	j.wake()
	if deliver == nil {
		return
	}
	j.queue = append(j.queue, e)
	if !j.delivering {
		j.delivering = true
		j.deliveries.Go(func() { j.deliver(deliver) })
	}
}

// keep stores an event in place of the oldest one, and drops the oldest output beyond the limit.
func (j *Journal) keep(e Event) {
	if len(j.events) < kept {
		j.events = append(j.events, Event{})
	}
	slot := &j.events[(e.Sequence-1)%kept]
	j.output += outputSize(e) - outputSize(*slot)
	*slot = e
	j.bare = max(j.bare, e.Sequence-min(e.Sequence, kept))
	for ; j.output > keptOutput; j.bare++ {
		old := &j.events[j.bare%kept]
		j.output -= outputSize(*old)
		old.Output = nil
	}
}

func outputSize(e Event) (n int) {
	for _, line := range e.Output {
		n += len(line)
	}
	return n
}

// deliver calls deliver with the queued events until there are none.
func (j *Journal) deliver(deliver func(Event)) {
	for {
		j.mu.Lock()
		events := j.queue
		j.queue = nil
		j.delivering = len(events) > 0
		j.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			deliver(e)
		}
	}
}

func (j *Journal) wake() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// Last returns the sequence number of the latest event, or zero if there has been none.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

// Next returns the event that follows a sequence number. If it has not happened yet, Next returns a
// channel that is closed when it may have. The error wraps ErrForgotten if that event is not kept,
// and is ErrEnded after the last event of a closed journal.
func (j *Journal) Next(after uint64) (Event, <-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case after > j.count:
		return Event{}, nil, fmt.Errorf("%w: event %d has not happened yet, the latest is %d", ErrForgotten, after, j.count)
	case after+kept < j.count:
		return Event{}, nil, fmt.Errorf("%w: the first that is kept comes after %d, not after %d", ErrForgotten, j.count-kept, after)
	case after < j.count:
		return j.events[after%kept], nil, nil
	case j.closed:
		return Event{}, nil, ErrEnded
	}
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return Event{}, j.changed, nil
}

// Close closes the journal when all events so far have been delivered.
func (j *Journal) Close() {
	j.deliveries.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wake()
}
