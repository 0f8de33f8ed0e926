package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/event"
)

// history follows what happens to the replicas of a trial.
type history struct {
	replicas    []cluster.Replica
	supervisors []*cluster.Supervisor
	giveUp      context.CancelFunc // called when events are missing
	stop        context.CancelFunc // ends the watching
	watching    sync.WaitGroup
	clocks      map[*cluster.Supervisor]cluster.Clock // at the beginning

	mu      sync.Mutex
	watched int           // supervisors whose events cannot be missed any more
	news    chan struct{} // closed and replaced at every event
	lives   []life        // of each replica
	events  []observed
	started bool  // all have been ready
	failure error // why the trial cannot be used
}

// life is the state of a replica in the trial.
type life struct {
	first        int // its first incarnation in the trial; 0: none yet
	alive, ready bool
}

// observed is an event by the clock of its supervisor.
type observed struct {
	by    *cluster.Supervisor
	event trials.Event
}

func newHistory(replicas []cluster.Replica, giveUp context.CancelFunc) *history {
	h := &history{
		replicas: replicas, giveUp: giveUp, stop: func() {},
		news: make(chan struct{}), lives: make([]life, len(replicas)),
	}
	for _, r := range replicas {
		if !slices.Contains(h.supervisors, r.Supervisor) {
			h.supervisors = append(h.supervisors, r.Supervisor)
		}
	}
	return h
}

// begin begins to watch the supervisors, which are to launch the replicas then. The watching
// outlives ctx: when a run is ended, what happens to the replicas until they are stopped belongs to
// its records.
func (h *history) begin(ctx context.Context) error {
	var err error
	if h.clocks, err = h.readClocks(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	for _, s := range h.supervisors {
		h.watching.Go(func() {
			for e, err := range s.Watch(watching, nil, h.countWatch) {
				if err != nil {
					h.fail(err)
					return
				}
				h.note(s, e)
			}
		})
	}
	return h.await(ctx, "the events of all supervisors", func() bool { return h.watched == len(h.supervisors) })
}

func (h *history) countWatch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched++
	h.changed()
}

// end ends the watching.
func (h *history) end() {
	h.stop()
	h.watching.Wait()
}

// readClocks estimates how the clocks of the supervisors are related to ours.
func (h *history) readClocks(ctx context.Context) (map[*cluster.Supervisor]cluster.Clock, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	clocks := map[*cluster.Supervisor]cluster.Clock{}
	for _, r := range h.replicas {
		if _, known := clocks[r.Supervisor]; known {
			continue
		}
		clock, err := r.Supervisor.Clock(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		clocks[r.Supervisor] = clock
	}
	return clocks, nil
}

// await returns when something is so, or why it will not be.
func (h *history) await(ctx context.Context, what string, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		h.mu.Lock()
		news, failure := h.news, h.failure
		done := failure == nil && so()
		h.mu.Unlock()
		switch {
		case failure != nil:
			return failure
		case done:
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// awaitReady returns when all replicas are ready.
func (h *history) awaitReady(ctx context.Context) error {
	return h.await(ctx, "replicas that are ready", func() bool {
		h.started = !slices.ContainsFunc(h.lives, func(l life) bool { return !l.ready })
		return h.started
	})
}

// awaitEnd returns when the last process has ended.
func (h *history) awaitEnd(ctx context.Context) error {
	return h.await(ctx, "the ends of all replicas", func() bool {
		return !slices.ContainsFunc(h.lives, func(l life) bool { return l.alive })
	})
}

// changed wakes whoever waits. mu is held.
func (h *history) changed() {
	close(h.news)
	h.news = make(chan struct{})
}

// note takes an event of a supervisor. Those from before the launch that the trial begins with are
// not part of it.
func (h *history) note(s *cluster.Supervisor, e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.replicas, func(r cluster.Replica) bool { return r.Name == e.Replica && r.Supervisor == s })
	if i < 0 && e.Kind != event.KindGuardianLost {
		return
	}
	if i >= 0 {
		l := &h.lives[i]
		if e.Kind == event.KindLaunched && l.first == 0 {
			l.first = e.Incarnation
		}
		if e.Incarnation != 0 && (l.first == 0 || e.Incarnation < l.first) {
			return
		}
		h.change(l, e)
		e.Replica = design.ReplicaName(i)
		if e.Incarnation != 0 {
			e.Incarnation -= l.first - 1
		}
	}
	h.add(s, e)
	h.changed()
}

// change takes note of what a replica is at.
func (h *history) change(l *life, e event.Event) {
	switch e.Kind {
	case event.KindLaunched:
		l.alive = true
	case event.KindReady:
		l.ready = true
	case event.KindUnready:
		l.ready = false
	case event.KindExited, event.KindLaunchFailed:
		l.alive, l.ready = false, false
		if !h.started && h.failure == nil { // also one that was ready: it may be down for good
			h.failure = endedEarly(e)
		}
	}
}

// endedEarly is the failure of a trial in which a replica has ended before the load.
func endedEarly(e event.Event) error {
	why := fmt.Sprintf("replica %s: %v before all were ready", e.Replica, e.Exit)
	if len(e.Output) > 0 {
		why += ": " + strings.Join(e.Output, "; ")
	}
	return errors.New(why)
}

// add records an event, and what a replica has counted, which is among its last lines.
func (h *history) add(s *cluster.Supervisor, e event.Event) {
	for _, line := range e.Output {
		if count := trials.ReadCount(e.Replica, []byte(line)); count != nil {
			count.Incarnation = e.Incarnation
			h.events = append(h.events, observed{s, trials.Event{Time: e.Time, Event: record.Event{Count: count}}})
		}
	}
	h.events = append(h.events, observed{s, trials.Event{Time: e.Time, Event: record.Event{Process: &e}}})
}

func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
	h.giveUp()
	h.changed()
}

// failed returns why the trial cannot be used.
func (h *history) failed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure
}

// up returns for each replica whether it is ready.
func (h *history) up() []bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	up := make([]bool, len(h.lives))
	for i, l := range h.lives {
		up[i] = l.ready
	}
	return up
}

// first returns the first incarnation of the i-th replica in the trial.
func (h *history) first(i int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lives[i].first
}

// rename is trials.Cluster.Rename.
func (h *history) rename(replica string, incarnation int) (string, int) {
	i := slices.IndexFunc(h.replicas, func(r cluster.Replica) bool { return r.Name == replica })
	if i < 0 {
		return replica, incarnation
	}
	return design.ReplicaName(i), incarnation - h.first(i) + 1
}

// finish returns the events by our clock, and what relates them to those of the supervisors.
func (h *history) finish(ctx context.Context) ([]trials.Event, map[string]record.Remote, error) {
	clocks, err := h.readClocks(ctx)
	if err != nil {
		return nil, nil, err
	}
	for s, clock := range clocks {
		clocks[s] = h.clocks[s].Join(clock)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var events []trials.Event
	for _, e := range h.events {
		e.event.Time = clocks[e.by].Local(e.event.Time)
		events = append(events, e.event)
	}
	remote := map[string]record.Remote{}
	for i, r := range h.replicas {
		clock := clocks[r.Supervisor]
		remote[design.ReplicaName(i)] = record.Remote{
			Name: r.Name, FirstIncarnation: h.lives[i].first, ClockOffset: clock.Offset(), ClockError: clock.Error,
		}
	}
	return events, remote, nil
}
