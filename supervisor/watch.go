package supervisor

import (
	"context"
	"iter"

	"example.com/crashlab/supervisor/event"
)

// Watch returns the events after the one with a sequence number, and then each
// as it happens, until ctx ends or Run has returned: after zero all, after
// [Supervisor.Sequence] what happens next. It yields an error that wraps
// [event.ErrForgotten], and ends, where events in between are not kept any more: the
// latest 4,096 are. Of Output the latest 4 MiB are kept: events before those
// come without. Nobody waits for who watches.
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

// Sequence returns the number of the latest event; zero: nothing has happened
// yet. What happens from now on has higher ones.
func (s *Supervisor) Sequence() uint64 { return s.journal.Last() }
