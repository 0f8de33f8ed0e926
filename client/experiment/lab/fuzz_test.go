package lab

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// A line of a replica's log is a count if it is an object that has arrived, and nothing otherwise.
func FuzzRead(f *testing.F) {
	f.Add(`{"@level":"error","incarnation":3,"arrived":8,"counted":7,"in_flight":0,"request":8}`)
	f.Add(`{"@message":"listening"}`)
	f.Add(`panic: out of luck`)
	f.Fuzz(func(t *testing.T, line string) {
		var c cluster
		c.read("a", []byte(line))
		var object map[string]any
		isObject := json.Unmarshal([]byte(line), &object) == nil
		has := slices.ContainsFunc(slices.Collect(maps.Keys(object)), func(key string) bool { return strings.EqualFold(key, "arrived") })
		switch {
		case len(c.events) > 1 || len(c.events) == 1 && !(isObject && has):
			t.Errorf("%q: %d events", line, len(c.events))
		case len(c.events) == 1 && (c.events[0].event.Count == nil || c.events[0].event.Count.Replica != "a"):
			t.Errorf("%q: %+v", line, c.events[0].event)
		}
	})
}

// The latest launch, against a search from the end. Each byte is the time from one launch to the next.
func FuzzLatest(f *testing.F) {
	f.Add([]byte{10, 10}, int64(15))
	f.Add([]byte{0, 0, 0}, int64(0))
	f.Add([]byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, gaps []byte, at int64) {
		var all []launched
		now := time.Duration(0)
		for i, gap := range gaps {
			now += time.Duration(gap)
			all = append(all, launched{now, i + 1})
		}
		want := 0
		for _, l := range slices.Backward(all) {
			if int64(l.at) <= at {
				want = l.incarnation
				break
			}
		}
		if got := latest(all, time.Duration(at)); got != want {
			t.Errorf("at %d of %v: %d, want %d", at, all, got, want)
		}
	})
}
