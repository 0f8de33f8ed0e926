package event

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// kept is how many events can be watched after they have happened.
	kept = 4096
	// keptOutput bounds the bytes of output in them: 4,096 exits of chatty
	// replicas would take 80 MiB.
	keptOutput = 4 << 20
)

// ErrForgotten says that the events asked for are no longer kept, or not known
// yet.
var ErrForgotten = errors.New("these events are not kept")

// ErrEnded says that there are no more events.
var ErrEnded = errors.New("no more events")

// Journal numbers the events, keeps the latest for those who watch, and tells
// them to one in a goroutine of its own. The zero value is ready.
type Journal struct {
	mu      sync.Mutex
	events  []Event   // a ring once there are kept of them
	count   uint64    // events so far
	output  int       // bytes of output in events
	bare    uint64    // of the events up to this number no output is kept
	begun   time.Time // of the first
	closed  bool
	changed chan struct{} // closed at the next event, or at the end; nil: nobody waits
	untold  []Event
	telling bool
	told    sync.WaitGroup
}

// Add appends an event and has it told, unless tell is nil.
func (j *Journal) Add(e Event, tell func(Event)) {
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
	if tell == nil {
		return
	}
	j.untold = append(j.untold, e)
	if !j.telling {
		j.telling = true
		j.told.Go(func() { j.tell(tell) })
	}
}

// keep keeps an event in place of the oldest, and output in place of older.
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

// tell tells what is untold, one event at a time.
func (j *Journal) tell(tell func(Event)) {
	for {
		j.mu.Lock()
		events := j.untold
		j.untold = nil
		j.telling = len(events) > 0
		j.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			tell(e)
		}
	}
}

func (j *Journal) wake() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// Last returns the number of the latest event; zero: none has happened.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

// Next returns the event after a sequence number or, if it has not happened
// yet, a channel that is closed when it may have. After the last of all it
// returns ErrEnded.
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

// Close ends the journal when all is told.
func (j *Journal) Close() {
	j.told.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wake()
}
