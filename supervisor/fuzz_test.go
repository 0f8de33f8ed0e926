package supervisor

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// What holds for every policy, however wrong, and every past.
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
			t.Errorf("%+v decides %+v", p, d)
		}
		if p.check() != nil || draw < 0 || draw > 1 {
			return
		}
		most64 := float64(max(p.Delay, p.Backoff.max(), launchFailureDelay)) * (1 + jitter)
		if float64(d.Delay) > most64*1.000001 || d.GiveUp != (exits > 0 && h.count(h.Last.neverReady(), now.Add(-p.Limit.window())) >= exits) {
			t.Errorf("%+v decides %+v", p, d)
		}
		if longer := p.delay(h.Row+1, draw); longer < p.delay(h.Row, draw) {
			t.Errorf("%+v: the delay falls to %v from one exit to the next", p, longer)
		}
	})
}

func FuzzProbe(f *testing.F) {
	f.Add(1, int64(time.Second), int64(time.Second), 3, true)
	f.Fuzz(func(t *testing.T, kind int, period, timeout int64, threshold int, alive bool) {
		p := Probe{Kind: ProbeKind(kind), Period: time.Duration(period), Timeout: time.Duration(timeout), Threshold: threshold}
		if p.check("a:1", alive, true) != nil {
			return
		}
		usual := readyPeriod
		if alive {
			usual = alivePeriod
		}
		got := p.withDefaults(usual)
		if got.Period < LeastPeriod || got.Timeout <= 0 || got.Threshold < 1 || alive && got.Timeout > got.Period {
			t.Errorf("%+v comes to %+v", p, got)
		}
	})
}

// What can be read can be written, and read again.
func FuzzEventJSON(f *testing.F) {
	f.Add([]byte(`{"v":1,"seq":9,"time":"2026-01-02T03:04:05.678901234Z","mono_ns":1500000000,"kind":"exited","replica":"a",
		"exit":{"signal":"SIGKILL","uptime_ms":1200.5},"next":{"relaunch":true,"delay_ms":500},"output":["panic"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Event
		if json.Unmarshal(data, &e) != nil {
			return
		}
		if y := e.Time.UTC().Year(); y < 0 || y > 9999 {
			return // of which JSON knows none
		}
		first, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		var again Event
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		for _, d := range []time.Duration{e.After, e.Exit.Uptime, e.Exit.Ready, e.Next.Delay} {
			if d.Abs() > 30*24*time.Hour {
				return // it is not exact any more
			}
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s became %s, %v", first, second, err)
		}
	})
}

// Milliseconds are exact for months, and close for all times.
func FuzzMilliseconds(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, ns int64) {
		text, err := json.Marshal(milliseconds(ns))
		if err != nil {
			t.Fatal(err)
		}
		var back milliseconds
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if off := time.Duration(int64(back) - ns); off.Abs() > time.Duration(ns).Abs()>>50 {
			t.Errorf("%d came back from %s as %d", ns, text, back)
		}
	})
}
