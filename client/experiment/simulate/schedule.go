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

// disturb sees to it that what the schedule says is done. The load has just begun.
func (w *world) disturb() {
	for _, d := range w.schedule {
		t := &virtual.Timer{Do: func() {
			for _, r := range w.replicas {
				if r.meant(d) {
					r.signal(d.Signal)
				}
			}
		}}
		w.timeline.Set(t, w.began+d.At)
		w.disturbances = append(w.disturbances, t)
	}
}

// meant reports whether something is done to the replica.
func (r *replica) meant(d design.Disturbance) bool {
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
		r.goOn()
	case syscall.SIGKILL:
		r.Kill()
	case syscall.SIGTERM:
		r.do(r.drain)
	}
}

// drainTimeout is how long counterd lets calls in flight end.
const drainTimeout = 4 * time.Second

// drain has the process end once nothing is in flight, and no earlier than the client has heard
// that it takes no more. A process that drains already ends at once.
func (r *replica) drain() {
	if r.drains {
		r.exit(restart.Exit{Code: -1, Signal: syscall.SIGTERM}, 0)
		return
	}
	r.deafen()
	r.drains = true
	w, incarnation := r.world, r.incarnation
	then := func(after time.Duration, do func()) {
		w.after(after, func() {
			if r.runs && r.incarnation == incarnation {
				do()
			}
		})
	}
	trip := w.takes(&w.model.RoundTrip)
	then(trip/2, func() {
		if r.connected == incarnation {
			w.client.Drain(r.index)
		}
	})
	then(trip, func() { r.heard = true; r.drained() })
	then(drainTimeout, func() { r.exit(restart.Exit{}, 0) })
}

// drained ends a process that drains and has nothing in flight.
func (r *replica) drained() {
	if r.heard && len(r.inFlight) == 0 {
		r.exit(restart.Exit{}, 0)
	}
}

// do has the process do something: now, or, if it is stopped, when it goes on.
func (r *replica) do(what func()) {
	if r.stopped {
		r.held = append(r.held, what)
		return
	}
	what()
}

// goOn lets a process that was stopped go on. What it missed happens at once, until it crashes.
func (r *replica) goOn() {
	held, incarnation := r.held, r.incarnation
	r.stopped, r.held = false, nil
	for _, do := range held {
		if !r.runs || r.incarnation != incarnation {
			return
		}
		do()
	}
}

// stop returns how long the process is stopped from now on: until it goes on, or, where it does not
// live, until it is killed.
func (r *replica) stop() (left time.Duration, lives bool) {
	if !r.stopped {
		return 0, true
	}
	w := r.world
	left = virtual.Forever
	for _, d := range w.schedule {
		if at := w.began + d.At - w.now(); at > 0 && at < left && r.meant(d) && d.Signal != syscall.SIGSTOP {
			left, lives = at, d.Signal == syscall.SIGCONT
		}
	}
	return left, lives
}
