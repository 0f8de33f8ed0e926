package cluster

import (
	"context"
	"time"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// Clock relates the clock of a supervisor's machine to the local clock.
type Clock struct {
	remote, local time.Time // the same moment on both clocks; local has a monotonic reading
	// Error is how far the relation may be off in either direction.
	Error time.Duration
}

// clockSamples is how many round trips an estimate takes.
const clockSamples = 8

// Clock estimates the relation of the supervisor's clock to the local one, as NTP does (RFC 5905):
// it asks for the time and assumes that it was read halfway through the round trip. The error is at
// most half the round trip, so the shortest of eight counts. replica is the name of any replica of
// the supervisor.
func (s *Supervisor) Clock(ctx context.Context, replica string) (Clock, error) {
	var best Clock
	for i := range clockSamples {
		began := time.Now()
		reply, err := s.Get(ctx, &supervisorv1.GetRequest{Replica: replica})
		if err != nil {
			return Clock{}, s.Failure(err)
		}
		half := time.Since(began) / 2
		if i == 0 || half < best.Error {
			best = Clock{reply.GetStatus().GetTime().AsTime(), began.Add(half), half}
		}
	}
	return best, nil
}

// Local converts a time of the remote clock to the local clock.
func (c Clock) Local(remote time.Time) time.Time { return c.local.Add(remote.Sub(c.remote)) }

// Offset returns what to add to a time of the remote clock to obtain the local time.
func (c Clock) Offset() time.Duration { return c.local.Round(0).Sub(c.remote) }

// Join returns the better of two estimates, with an error that allows for the drift between them.
func (c Clock) Join(other Clock) Clock {
	if other.Error < c.Error {
		c, other = other, c
	}
	c.Error = max(c.Error, c.Local(other.remote).Sub(other.local).Abs()+other.Error)
	return c
}
