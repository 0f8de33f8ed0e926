package event

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// An event that was read can be written and read again.
func FuzzEventJSON(f *testing.F) {
	f.Add([]byte(`{"v":1,"seq":9,"time":"2026-01-02T03:04:05.678901234Z","mono_ns":1500000000,"kind":"exited","replica":"a",
		"exit":{"signal":"SIGKILL","uptime_ms":1200.5},"next":{"relaunch":true,"delay_ms":500},"output":["panic"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Event
		if json.Unmarshal(data, &e) != nil {
			return
		}
		if y := e.Time.UTC().Year(); y < 0 || y > 9999 {
			return // JSON has no such times
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
				return // too long to be exact
			}
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s became %s, %v", first, second, err)
		}
	})
}

// Milliseconds are exact for months, and approximate for longer times.
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
