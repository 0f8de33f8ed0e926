package simulate

import (
	"slices"
	"syscall"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover/virtual"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// disturb sets timers for the schedule's disturbances. It is called when the load begins.
func (w *world) disturb() {
	for _, d := range w.schedule {
		t := &virtual.Timer{Do: func() {
			for _, r := range w.replicas {
				if r.isTarget(d) {
					r.signal(d.Signal)
				}
			}
		}}
		w.timeline.Set(t, w.began+d.At)
		w.disturbances = append(w.disturbances, t)
	}
}

// isTarget reports whether a disturbance affects the replica.
func (r *replica) isTarget(d design.Disturbance) bool {
	return len(d.Replicas) == 0 || slices.Contains(d.Replicas, design.ReplicaName(r.index))
}

// signal sends a signal to the process, if there is one.
func (r *replica) signal(s syscall.Signal) {
	if !r.runs {
		return
	}
	r.Emit(event.Event{
		Kind: event.KindSignaled, Time: r.time(), Replica: design.ReplicaName(r.index), Group: groupName, Incarnation: r.incarnation, Signal: s,
	})
	switch s {
	case syscall.SIGSTOP:
		r.stopped = true
	case syscall.SIGCONT:
		r.resume()
	case syscall.SIGKILL:
		r.Kill()
	case syscall.SIGTERM:
		r.do(r.drain)
	}
}

// drainTimeout is how long counterd waits for calls in flight when it drains.
const drainTimeout = 4 * time.Second

// drain makes the process exit once nothing is in flight and the client knows that it drains. A
// process that is already draining exits at once.
func (r *replica) drain() {
	if r.draining {
		r.exit(restart.Exit{Code: -1, Signal: syscall.SIGTERM}, 0)
		return
	}
	r.stopListening()
	r.draining = true
	w, incarnation := r.world, r.incarnation
	then := func(after time.Duration, do func()) {
		w.after(after, func() {
			if r.runs && r.incarnation == incarnation {
				do()
			}
		})
	}
	trip := w.draw(&w.model.RoundTrip)
	then(trip/2, func() {
		if r.connected == incarnation {
			w.client.Drain(r.index)
		}
	})
	then(trip, func() { r.drainKnown = true; r.exitIfDrained() })
	then(drainTimeout, func() { r.exit(restart.Exit{}, 0) })
}

// exitIfDrained ends a draining process if the client knows that it drains and nothing is in
// flight.
func (r *replica) exitIfDrained() {
	if r.drainKnown && len(r.inFlight) == 0 {
		r.exit(restart.Exit{}, 0)
	}
}

// do calls f in the process: now, or, if the process is stopped, when it resumes.
func (r *replica) do(f func()) {
	if r.stopped {
		r.held = append(r.held, f)
		return
	}
	f()
}

// resume resumes a stopped process. What was held happens at once, unless it makes the process
// crash.
func (r *replica) resume() {
	held, incarnation := r.held, r.incarnation
	r.stopped, r.held = false, nil
	for _, do := range held {
		if !r.runs || r.incarnation != incarnation {
			return
		}
		do()
	}
}

// stopLeft returns how long the process stays stopped from now on, and whether it then resumes; if
// not, it is killed.
func (r *replica) stopLeft() (left time.Duration, resumes bool) {
	if !r.stopped {
		return 0, true
	}
	w := r.world
	left = virtual.Forever
	for _, d := range w.schedule {
		if at := w.began + d.At - w.now(); at > 0 && at < left && r.isTarget(d) && d.Signal != syscall.SIGSTOP {
			left, resumes = at, d.Signal == syscall.SIGCONT
		}
	}
	return left, resumes
}
