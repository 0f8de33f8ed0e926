package core

import (
	"slices"
	"testing"
	"time"
)

func TestHedge(t *testing.T) {
	cs := replicasOf(4, "abd")
	var c Call
	c.Next(one(), anytime, NewCandidates(cs...))
	for _, tc := range []struct {
		name    string
		prepare func(cs []Candidate)
		want    int // -1: no hedge
	}{
		{"another that is ready", func([]Candidate) {}, 1},
		{"not one that is full", func(cs []Candidate) { cs[1].Full = true }, 3},
		{"not an ejected one", func(cs []Candidate) { cs[1].Ejected = true }, 3},
		{"nor one that is down", func(cs []Candidate) { cs[1].Ready, cs[3].Ready = false, false }, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cs, c := slices.Clone(cs), c
			tc.prepare(cs)
			d, ok := c.Hedge(one(), anytime, NewCandidates(cs...), 'a')
			if ok != (tc.want >= 0) || ok && (d.Index != tc.want || d.Action != ActionTry) {
				t.Errorf("got %+v, %v, want replica %d", d, ok, tc.want)
			}
		})
	}
	hedged, all := c, NewCandidates(cs...)
	d, _ := hedged.Hedge(one(), anytime, all, 'a')
	c.Note(Result{Sent: true})
	c.NoteHedge(cs[d.Index].Key, d.Round, Result{Pushback: time.Second})
	if d := c.Next(one(), anytime, all); d.Action != ActionPause {
		t.Errorf("after a hedge that was pushed back: %+v, want a pause", d)
	}
	if d := c.Next(one(), anytime, all); d.Index != 3 {
		t.Errorf("after both: %+v, want the next that is ready", d)
	}
}

func TestHedgeDelay(t *testing.T) {
	quick := learned(times(100, 10*ms)...)
	for _, tc := range []struct {
		name    string
		hedging Hedging
		join    time.Duration
		latency *Latency
		want    time.Duration
		hedge   bool
	}{
		{"none", Hedging{}, 0, quick, 0, false},
		{"a fixed time", Hedging{After: 50 * ms}, 0, quick, 50 * ms, true},
		{"a quantile that is not known", Hedging{After: 50 * ms, Quantile: 0.95}, 0, new(Latency), 50 * ms, true},
		{"neither", Hedging{Quantile: 0.95}, 0, new(Latency), 0, false},
		{"its share of the time", Hedging{}, 70 * ms, quick, 70 * ms, false},
		{"a hedge before that", Hedging{After: 50 * ms}, 70 * ms, quick, 50 * ms, true},
		{"a hedge after that", Hedging{After: 90 * ms}, 70 * ms, quick, 70 * ms, false},
	} {
		if got, hedge := tc.hedging.Delay(Decision{Join: tc.join}, tc.latency); got != tc.want || hedge != tc.hedge {
			t.Errorf("%s: got %v, %v, want %v, %v", tc.name, got, hedge, tc.want, tc.hedge)
		}
	}
	if got, hedge := (Hedging{After: time.Second, Quantile: 0.95}).Delay(Decision{}, quick); got < 10*ms || got > 12500*time.Microsecond || !hedge {
		t.Errorf("a quantile: got %v, %v, want 10 ms to 12.5 ms", got, hedge)
	}
}
