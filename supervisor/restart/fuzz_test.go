package restart

import (
	"testing"
	"time"
)

// Decisions stay within bounds for all policies, even invalid ones, and all histories.
func FuzzPolicyNext(f *testing.F) {
	f.Add(int64(time.Second), 2.0, int64(0), 0.2, int64(0), 3, int64(0), 0.5, false, []byte("crash"))
	f.Fuzz(func(t *testing.T, delay int64, factor float64, most int64, jitter float64, reset int64, exits int, window int64,
		draw float64, exact bool, past []byte) {
		p := Policy{
			Delay:   time.Duration(delay),
			Backoff: Backoff{Factor: factor, Max: time.Duration(most), Jitter: jitter, Reset: time.Duration(reset)},
			Limit:   Limit{Exits: exits, Window: time.Duration(window)},
			Exact:   exact,
		}
		var h History
		now := time.Unix(0, 0)
		for _, b := range append(past[:min(len(past), 300)], 0) {
			now = now.Add(time.Duration(b) * time.Second)
			e := Exit{Code: []int{0, 1, 2, 127}[b&3], Uptime: time.Duration(b) * time.Second / 32}
			if b&4 > 0 {
				e.Ready = e.Uptime
			}
			h = h.After(e, now, p)
		}
		d := p.Next(h, now, draw)
		if d.Delay < 0 || d.Delay > longest || d.Relaunch == d.GiveUp {
			t.Errorf("%+v: got %+v", p, d)
		}
		if p.Check() != nil || draw < 0 || draw > 1 {
			return
		}
		most64 := float64(max(p.Delay, p.Backoff.max(), launchFailureDelay)) * (1 + jitter)
		if float64(d.Delay) > most64*1.000001 || d.GiveUp != (exits > 0 && h.count(h.Last.NeverReady(), now.Add(-p.Limit.window())) >= exits) {
			t.Errorf("%+v: got %+v", p, d)
		}
		if longer := p.delay(h.Streak+1, draw); longer < p.delay(h.Streak, draw) {
			t.Errorf("%+v: the delay falls to %v from one exit to the next", p, longer)
		}
	})
}
