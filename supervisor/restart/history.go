package restart

import (
	"slices"
	"time"
)

// History is the past of one replica, as far as a policy needs it. The zero value is that of a
// replica that never exited.
type History struct {
	Last Exit // the latest exit
	// How many of the latest exits in a row were of the same kind: after being ready, or never
	// ready.
	Streak int
	Short  int // how many of the latest exits in a row had an uptime below 1 s

	recent []past // oldest first; at most MaxExits of each kind
}

// past is what is kept of an exit.
type past struct {
	at         time.Time
	neverReady bool
}

// After returns the history extended by an exit at the given time. If the incarnation was ready for
// at least p.Backoff.Reset, the count of consecutive exits starts again.
func (h History) After(e Exit, at time.Time, p Policy) History {
	if e.NeverReady() != h.Last.NeverReady() || !e.NeverReady() && e.Ready >= p.Backoff.reset() {
		h.Streak = 0
	}
	h.Streak++
	if e.Uptime >= shortUptime {
		h.Short = 0
	} else {
		h.Short++
	}
	h.Last = e
	if LocalShortage(e.Err) {
		return h
	}
	h.recent = append(slices.Clone(h.recent), past{at, e.NeverReady()})
	if h.count(e.NeverReady(), time.Time{}) > MaxExits {
		oldest := slices.IndexFunc(h.recent, func(p past) bool { return p.neverReady == e.NeverReady() })
		h.recent = slices.Delete(h.recent, oldest, oldest+1)
	}
	return h
}

// count returns the number of recent exits of a kind that are not before since.
func (h History) count(neverReady bool, since time.Time) int {
	n := 0
	for _, p := range h.recent {
		if p.neverReady == neverReady && !p.at.Before(since) {
			n++
		}
	}
	return n
}

// Cleared returns the history without the exits that increase the delay or count toward the limit.
// A hot loop is still slowed down.
func (h History) Cleared() History { return History{Last: h.Last, Short: h.Short} }
