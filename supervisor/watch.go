package supervisor

import (
	"context"
	"iter"

	"example.com/crashlab/supervisor/event"
)

// Watch returns the events after the one with a sequence number, and then each as
// it happens, until ctx ends or Run has returned. After zero it begins with the
// first event, after [Supervisor.Sequence] with the next. The latest 4,096 events
// are kept: where others are missing, Watch yields an error that wraps
// [event.ErrForgotten], and ends. Of their Output the latest 4 MiB are kept: older
// events come without. Watchers never block the supervisor.
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

// Sequence returns the sequence number of the latest event; zero: there was none.
// Later events have higher numbers.
func (s *Supervisor) Sequence() uint64 { return s.journal.Last() }
