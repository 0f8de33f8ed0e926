package report

import (
	"cmp"
	"slices"
	"syscall"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/supervisor/event"
)

// state is the state of a replica's process.
type state int

const (
	down     state = iota // there is no process
	starting              // it is not ready yet
	up                    // it is ready
	paused                // stopped by a signal: it keeps its connections but does not answer
)

// band is a time span in which a replica is in one state.
type band struct {
	replica  string
	state    state
	from, to time.Duration
}

// crash is an exit of a process that was not requested.
type crash struct {
	replica     string
	incarnation int
	at          time.Duration
}

// replicaStates returns the states and the crashes of the replicas, from the start of the load to
// its end.
func replicaStates(events []record.Event, end time.Duration) ([]band, []crash) {
	var (
		bands     []band
		crashes   []crash
		current   = map[string]*band{}
		requested = map[string]bool{} // replicas that were told to exit
		order     []string
	)
	turn := func(replica string, to state, at time.Duration) {
		b := current[replica]
		if b == nil {
			b = &band{replica: replica}
			current[replica] = b
			order = append(order, replica)
		}
		at = min(max(at, 0), end)
		b.to = at
		if b.to > b.from {
			bands = append(bands, *b)
		}
		b.state, b.from = to, at
	}
	for _, e := range byTime(events) {
		p := e.Process
		switch p.Kind {
		case event.KindAdded:
			turn(p.Replica, down, e.At)
		case event.KindLaunched:
			requested[p.Replica] = false
			turn(p.Replica, starting, e.At)
		case event.KindReady:
			turn(p.Replica, up, e.At)
		case event.KindSignaled:
			switch b := current[p.Replica]; {
			case b != nil && p.Signal == syscall.SIGSTOP && b.state == up:
				turn(p.Replica, paused, e.At)
			case b != nil && p.Signal == syscall.SIGCONT && b.state == paused:
				turn(p.Replica, up, e.At)
			}
		case event.KindStopping, event.KindKilled:
			requested[p.Replica] = true
		case event.KindExited:
			if !requested[p.Replica] && e.At >= 0 && e.At <= end {
				crashes = append(crashes, crash{p.Replica, p.Incarnation, e.At})
			}
			turn(p.Replica, down, e.At)
		}
	}
	for _, replica := range order {
		turn(replica, down, end)
	}
	return bands, crashes
}

// byTime returns the supervisor's events about replicas, in the order of their times.
func byTime(events []record.Event) []record.Event {
	var sorted []record.Event
	for _, e := range events {
		if e.Process != nil && e.Process.Replica != "" {
			sorted = append(sorted, e)
		}
	}
	slices.SortStableFunc(sorted, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
	return sorted
}
