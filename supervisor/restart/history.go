package restart

import (
	"slices"
	"time"
)

// History is what a policy knows of one replica's past. The zero value is the
// history of a replica that never exited.
type History struct {
	Last  Exit // the latest
	Row   int  // latest exits in a row that were all of the same kind: after being ready, or never ready
	Short int  // latest exits in a row that had less than 1 s of uptime each

	recent []past // oldest first, at most MaxExits of each kind
}

// past is what is kept of an earlier exit.
type past struct {
	at         time.Time
	neverReady bool
}

// After returns the history with one more exit, at the given time. A policy
// whose Backoff.Reset the incarnation outlived begins a new row.
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

// count returns the number of recent exits of a kind since a time.
func (h History) count(neverReady bool, since time.Time) int {
	n := 0
	for _, p := range h.recent {
		if p.neverReady == neverReady && !p.at.Before(since) {
			n++
		}
	}
	return n
}

// Forgiven returns the history without the exits that lengthen the delay or count
// toward the limit. A hot loop is still slowed down.
func (h History) Forgiven() History { return History{Last: h.Last, Short: h.Short} }
