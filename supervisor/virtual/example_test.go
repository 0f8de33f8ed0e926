package virtual_test

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/virtual"
)

// start is when the simulation begins.
var start = time.Unix(0, 0)

// world has processes that crash after 1 s, and hang if they are asked to end.
type world struct {
	now     time.Time
	replica *virtual.Replica
	timers  [virtual.Timers]time.Time
	ends    time.Time // when the process crashes; zero: never
	killed  bool
}

func (w *world) Launch(int)                        { w.ends = w.now.Add(time.Second) }
func (w *world) Terminate()                        { w.ends = time.Time{} }
func (w *world) Kill()                             { w.killed = true }
func (w *world) Set(t virtual.Timer, at time.Time) { w.timers[t] = at }

func (w *world) Emit(e event.Event) {
	fmt.Println(w.now.Sub(start), e.Kind, e.Replica, e.Incarnation)
}

// run simulates until end, which counts from the start: it performs what is due next, an expired
// timer or the end of the process.
func (w *world) run(end time.Duration) {
	for {
		next, timer := w.ends, -1
		for t, at := range w.timers {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next, timer = at, t
			}
		}
		if next.IsZero() || next.Sub(start) > end {
			w.now = start.Add(end)
			return
		}
		w.now = next
		if timer >= 0 {
			w.timers[timer] = time.Time{}
			w.replica.Fire(w.now, virtual.Timer(timer))
		} else {
			w.ends = time.Time{}
			w.replica.Exited(w.now, restart.Exit{Code: 1, Uptime: w.now.Sub(w.replica.Launched())})
		}
		if w.killed {
			w.killed = false
			w.replica.Exited(w.now, restart.Exit{Code: -1})
		}
	}
}

// A replica crashes once, and is killed when it does not stop.
func Example() {
	w := &world{now: start}
	w.replica = virtual.New(virtual.Config{Name: "a", Policy: restart.Policy{Delay: 2 * time.Second}}, w, w.now)
	w.replica.Start(w.now)
	w.run(500 * time.Millisecond)
	w.replica.Ready(w.now)
	w.run(3500 * time.Millisecond)
	w.replica.Leave(w.now, "end of the simulation")
	w.run(time.Minute)
	// Output:
	// 0s added a 0
	// 0s launched a 1
	// 500ms ready a 1
	// 1s exited a 1
	// 3s launched a 2
	// 3.5s stopping a 2
	// 8.5s killed a 2
	// 8.5s exited a 2
	// 8.5s removed a 2
}
