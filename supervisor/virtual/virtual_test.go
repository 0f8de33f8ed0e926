package virtual_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/virtual"
)

// stage is a world in which each process lives for a second, and is deaf once
// it is told to end.
type stage struct {
	t       *testing.T
	now     time.Time
	replica *virtual.Replica
	timers  [virtual.Timers]time.Time
	ends    time.Time
	killed  bool
	events  []string
}

func (s *stage) Launch(int)                        { s.ends = s.now.Add(time.Second) }
func (s *stage) Terminate()                        { s.ends = time.Time{} }
func (s *stage) Kill()                             { s.killed = true }
func (s *stage) Set(t virtual.Timer, at time.Time) { s.timers[t] = at }
func (s *stage) at() time.Duration                 { return s.now.Sub(time.Unix(0, 0)) }
func (s *stage) Emit(e event.Event) {
	s.events = append(s.events, fmt.Sprint(s.at(), " ", e.Kind, " ", e.Replica, "/", e.Incarnation))
}

// run plays until a time.
func (s *stage) run(end time.Duration) {
	for {
		next, timer := s.ends, -1
		for t, at := range s.timers {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next, timer = at, t
			}
		}
		if next.IsZero() || next.Sub(time.Unix(0, 0)) > end {
			s.now = time.Unix(0, 0).Add(end)
			return
		}
		s.now = next
		if timer >= 0 {
			s.timers[timer] = time.Time{}
			s.replica.Fire(s.now, virtual.Timer(timer))
		} else {
			s.ends = time.Time{}
			s.replica.Exited(s.now, restart.Exit{Code: 1, Uptime: s.now.Sub(s.replica.Launched())})
		}
		if s.killed {
			s.killed = false
			s.replica.Exited(s.now, restart.Exit{Code: -1})
		}
	}
}

func TestReplica(t *testing.T) {
	s := &stage{t: t, now: time.Unix(0, 0)}
	s.replica = virtual.New(virtual.Config{Name: "a", Policy: restart.Policy{Delay: 2 * time.Second}}, s, s.now)
	s.replica.Start(s.now)
	s.run(500 * time.Millisecond)
	s.replica.Ready(s.now)
	s.run(3500 * time.Millisecond)
	s.replica.Leave(s.now, "it is over")
	s.run(time.Minute)
	want := []string{
		"0s added a/0", "0s launched a/1", "500ms ready a/1", "1s exited a/1", "3s launched a/2",
		"3.5s stopping a/2", "8.5s killed a/2", "8.5s exited a/2", "8.5s removed a/2",
	}
	if !slices.Equal(s.events, want) {
		t.Errorf("got %q, want %q", s.events, want)
	}
}
