package supervisor

import (
	"context"
	"fmt"
	"iter"
)

// Lines are consecutive lines of a replica's output.
type Lines struct {
	Text   []byte // whole lines, each with its newline
	Missed uint64 // how many lines before these are no longer kept
}

// Output returns the last lines of a replica's output, at most last of them. With follow it then
// returns new lines as the replica writes them, until ctx ends, the replica is removed or Run
// returns. For each replica the last 1,000 lines are kept, or the last 256 KiB if that is less.
// Readers never block the supervisor. The error wraps [ErrUnknown], or reports that last is
// negative.
func (s *Supervisor) Output(ctx context.Context, replica string, last int, follow bool) (iter.Seq[Lines], error) {
	if last < 0 {
		return nil, fmt.Errorf("%d lines: want 0 or more", last)
	}
	known := func() bool { return s.set.Has(replica) }
	if !known() {
		return nil, fmt.Errorf("%q: %w", replica, ErrUnknown)
	}
	history := s.output.History(replica)
	if !known() { // it was removed just now, and History created another history
		s.output.Forget(replica)
		return nil, fmt.Errorf("%q: %w", replica, ErrUnknown)
	}
	at, end := history.Last(last), history.End()
	return func(yield func(Lines) bool) {
		for ctx.Err() == nil && (follow || at.Before(end)) {
			text, then, missed, changed := history.Next(at)
			if text == nil {
				if !follow || changed == nil {
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
				}
				continue
			}
			if !yield(Lines{text, missed}) {
				return
			}
			at = then
		}
	}, nil
}
