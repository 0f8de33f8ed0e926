package supervisor

import (
	"context"
	"iter"

	"example.com/crashlab/supervisor/event"
)

// Watch returns the events after the one with the given sequence number, and then new events as
// they happen, until ctx ends or Run has returned. It begins with the first event if after is zero,
// and with the next one if after is [Supervisor.Sequence]. The latest 4,096 events are kept. If
// older ones are requested, Watch yields an error that wraps [event.ErrForgotten], and ends. Of the
// Output of exits only the latest 4 MiB are kept; older events come without it. Watchers never
// block the supervisor.
func (s *Supervisor) Watch(ctx context.Context, after uint64) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		for ctx.Err() == nil {
			e, changed, err := s.journal.Next(after)
			switch {
			case err == event.ErrEnded:
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

// Sequence returns the sequence number of the latest event, or zero if there has been none.
func (s *Supervisor) Sequence() uint64 { return s.journal.Last() }
