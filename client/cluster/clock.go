package cluster

import (
	"context"
	"time"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// Clock relates the clock of a supervisor's machine to ours.
type Clock struct {
	remote, local time.Time // the same moment by both; local has a reading of our monotonic clock
	// Error is how far the relation may be wrong, to either side.
	Error time.Duration
}

// clockSamples is how many round trips an estimate is made of.
const clockSamples = 8

// Clock estimates the relation of the supervisor's clock to ours, as NTP does (RFC 5905): it asks
// for the time and supposes that it was read halfway through the round trip. The error is at most
// half of that, so the shortest of several counts. The name is that of a replica of the supervisor.
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

// Local returns when a moment was by our clock.
func (c Clock) Local(remote time.Time) time.Time { return c.local.Add(remote.Sub(c.remote)) }

// Offset is what has to be added to a time of the supervisor's clock.
func (c Clock) Offset() time.Duration { return c.local.Round(0).Sub(c.remote) }

// Join returns the better one of two estimates, with an error that allows for what the clocks have
// drifted apart from one to the other.
func (c Clock) Join(other Clock) Clock {
	if other.Error < c.Error {
		c, other = other, c
	}
	c.Error = max(c.Error, c.Local(other.remote).Sub(other.local).Abs()+other.Error)
	return c
}
