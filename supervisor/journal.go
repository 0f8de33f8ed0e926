package supervisor

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

var errEnded = errors.New("no more events")

// Watch returns the events after the one with a sequence number, and then each
// as it happens, until ctx ends or Run has returned: after zero all, after
// [Supervisor.Sequence] what happens next. It yields an error that wraps
// [ErrForgotten], and ends, where events in between are not kept any more: the
// latest 4,096 are. Of Output the latest 4 MiB are kept: events before those
// come without. Nobody waits for who watches.
func (s *Supervisor) Watch(ctx context.Context, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for ctx.Err() == nil {
			e, changed, err := s.journal.next(after)
			switch {
			case err == errEnded:
				return
			case changed == nil:
				if !yield(e, err) || err != nil {
					return
				}
				after = e.Sequence
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Sequence returns the number of the latest event; zero: nothing has happened
// yet. What happens from now on has higher ones.
func (s *Supervisor) Sequence() uint64 { return s.journal.last() }

// journal numbers the events, keeps the latest for those who watch, and tells
// them to one in a goroutine of its own. The zero value is ready.
type journal struct {
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

// add appends an event and has it told, unless tell is nil.
func (j *journal) add(e Event, tell func(Event)) {
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
func (j *journal) keep(e Event) {
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
func (j *journal) tell(tell func(Event)) {
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

func (j *journal) wake() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

func (j *journal) last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

// next returns the event after a sequence number or, if it has not happened
// yet, a channel that is closed when it may have. After the last of all it
// returns errEnded.
func (j *journal) next(after uint64) (Event, <-chan struct{}, error) {
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
		return Event{}, nil, errEnded
	}
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return Event{}, j.changed, nil
}

// close ends the journal when all is told.
func (j *journal) close() {
	j.told.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wake()
}
