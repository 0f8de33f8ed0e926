package restart

import (
	"slices"
	"time"
)

// History is what a policy knows of the past of one replica. The zero value is
// that of a replica without an exit.
type History struct {
	Last  Exit // the latest
	Row   int  // exits in a row, up to the latest, of the latest's sort: after being ready, or without
	Short int  // exits in a row, up to the latest, after less than 1 s of uptime

	recent []past // oldest first, at most MaxExits of each sort
}

// past is what is kept of an exit.
type past struct {
	at         time.Time
	neverReady bool
}

// After returns the history with one more exit, which was at a time.
func (h History) After(e Exit, at time.Time, p Policy) History {
	if e.NeverReady() != h.Last.NeverReady() || !e.NeverReady() && e.Ready >= p.Backoff.reset() {
		h.Row = 0
	}
	h.Row++
	if e.Uptime >= shortUptime {
		h.Short = 0
	} else {
		h.Short++
	}
	h.Last = e
	if OurLack(e.Err) {
		return h
	}
	h.recent = append(slices.Clone(h.recent), past{at, e.NeverReady()})
	if h.count(e.NeverReady(), time.Time{}) > MaxExits {
		oldest := slices.IndexFunc(h.recent, func(p past) bool { return p.neverReady == e.NeverReady() })
		h.recent = slices.Delete(h.recent, oldest, oldest+1)
	}
	return h
}

// count returns the number of recent exits of a sort since a time.
func (h History) count(neverReady bool, since time.Time) int {
	n := 0
	for _, p := range h.recent {
		if p.neverReady == neverReady && !p.at.Before(since) {
			n++
		}
	}
	return n
}

// Forgiven returns the history without what lengthens a delay or gives a replica
// up. What slows down a hot loop stays.
func (h History) Forgiven() History { return History{Last: h.Last, Short: h.Short} }
