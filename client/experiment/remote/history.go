package remote

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/event"
)

// history collects the events of a trial's replicas from their supervisors.
type history struct {
	replicas    []cluster.Replica
	supervisors []*cluster.Supervisor
	giveUp      context.CancelFunc // called when events are missing
	stop        context.CancelFunc // ends the watching
	watching    sync.WaitGroup
	clocks      map[*cluster.Supervisor]cluster.Clock // at the beginning

	mu      sync.Mutex
	watched int            // supervisors whose event streams have begun
	changed chan struct{}  // closed and replaced at every event
	states  []replicaState // of each replica
	events  []observed
	started bool  // all replicas have been ready at once
	failure error // why the trial cannot be used
}

// replicaState is the state of a replica in the trial.
type replicaState struct {
	first        int // its first incarnation in the trial; 0 before its launch
	alive, ready bool
}

// observed is an event timed by its supervisor's clock.
type observed struct {
	by    *cluster.Supervisor
	event trials.Event
}

func newHistory(replicas []cluster.Replica, giveUp context.CancelFunc) *history {
	h := &history{
		replicas: replicas, giveUp: giveUp, stop: func() {},
		changed: make(chan struct{}), states: make([]replicaState, len(replicas)),
	}
	for _, r := range replicas {
		if !slices.Contains(h.supervisors, r.Supervisor) {
			h.supervisors = append(h.supervisors, r.Supervisor)
		}
	}
	return h
}

// begin starts watching the supervisors. It must return before they launch the replicas. The
// watching outlives ctx: when a run is interrupted, its records still cover the replicas until they
// have stopped.
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
				h.record(s, e)
			}
		})
	}
	return h.await(ctx, "the events of all supervisors", func() bool { return h.watched == len(h.supervisors) })
}

func (h *history) countWatch() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched++
	h.wake()
}

// end ends the watching.
func (h *history) end() {
	h.stop()
	h.watching.Wait()
}

// readClocks estimates how the supervisors' clocks relate to this machine's.
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

// await returns nil once the condition holds. It returns an error if the history has failed or the
// condition, which what describes, does not hold within readyTimeout.
func (h *history) await(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		h.mu.Lock()
		changed, failure := h.changed, h.failure
		done := failure == nil && condition()
		h.mu.Unlock()
		switch {
		case failure != nil:
			return failure
		case done:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}

// awaitReady returns when all replicas are ready.
func (h *history) awaitReady(ctx context.Context) error {
	return h.await(ctx, "replicas that are ready", func() bool {
		h.started = !slices.ContainsFunc(h.states, func(s replicaState) bool { return !s.ready })
		return h.started
	})
}

// awaitEnd returns when the last process has ended.
func (h *history) awaitEnd(ctx context.Context) error {
	return h.await(ctx, "the ends of all replicas", func() bool {
		return !slices.ContainsFunc(h.states, func(s replicaState) bool { return s.alive })
	})
}

// wake wakes await. h.mu is held.
func (h *history) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// record records an event of a supervisor, unless it belongs to an incarnation from before the
// trial.
func (h *history) record(s *cluster.Supervisor, e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.replicas, func(r cluster.Replica) bool { return r.Name == e.Replica && r.Supervisor == s })
	if i < 0 && e.Kind != event.KindGuardianLost {
		return
	}
	if i >= 0 {
		state := &h.states[i]
		if e.Kind == event.KindLaunched && state.first == 0 {
			state.first = e.Incarnation
		}
		if e.Incarnation != 0 && (state.first == 0 || e.Incarnation < state.first) {
			return
		}
		h.update(state, e)
		e.Replica = design.ReplicaName(i)
		if e.Incarnation != 0 {
			e.Incarnation -= state.first - 1
		}
	}
	h.add(s, e)
	h.wake()
}

// update applies an event to the state of its replica.
func (h *history) update(state *replicaState, e event.Event) {
	switch e.Kind {
	case event.KindLaunched:
		state.alive = true
	case event.KindReady:
		state.ready = true
	case event.KindUnready:
		state.ready = false
	case event.KindExited, event.KindLaunchFailed:
		state.alive, state.ready = false, false
		if !h.started && h.failure == nil { // even if it was ready: it may be down for good
			h.failure = trials.EndedEarly(e)
		}
	}
}

// add appends an event, and before it the counts in the replica's last lines of output.
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
	h.wake()
}

// failed returns why the trial cannot be used, or nil.
func (h *history) failed() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure
}

// up reports for each replica whether it is ready.
func (h *history) up() []bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	up := make([]bool, len(h.states))
	for i, s := range h.states {
		up[i] = s.ready
	}
	return up
}

// first returns the first incarnation of the i-th replica in the trial.
func (h *history) first(i int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.states[i].first
}

// rename is trials.Cluster.Rename.
func (h *history) rename(replica string, incarnation int) (string, int) {
	i := slices.IndexFunc(h.replicas, func(r cluster.Replica) bool { return r.Name == replica })
	if i < 0 {
		return replica, incarnation
	}
	return design.ReplicaName(i), incarnation - h.first(i) + 1
}

// finish returns the events timed by this machine's clock, and for each replica its name in the
// cluster, its first incarnation and the estimate of its clock.
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
			Name: r.Name, FirstIncarnation: h.states[i].first, ClockOffset: clock.Offset(), ClockError: clock.Error,
		}
	}
	return events, remote, nil
}
