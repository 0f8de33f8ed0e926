package trials

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// ReadCount reads both forms of a replica's log.
func TestReadCount(t *testing.T) {
	want := &record.Count{Replica: "a", Incarnation: 3, Arrived: 8, Counted: 7, InFlight: 2, Crash: 8}
	for _, line := range []string{
		`{"@level":"error","@message":"simulated crash","request":8,"point":"arrival","incarnation":3,"arrived":8,"counted":7,"in_flight":2}`,
		`2026-11-22T12:52:57.844Z [ERROR] counterd: simulated crash: request=8 method=/counter.v1.Counter/Get point=arrival incarnation=3 arrived=8 counted=7 in_flight=2`,
	} {
		if got := ReadCount("a", []byte(line)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	if got := ReadCount("a", []byte("[INFO]  counterd: listening: addr=127.0.0.1:7101 replica=a incarnation=3 seed=5")); got != nil {
		t.Errorf("a line without counts: got %+v, want nil", got)
	}
}

// ReadCount returns counts only for a JSON object or KEY=VALUE fields with the key arrived.
func FuzzReadCount(f *testing.F) {
	f.Add(`{"@level":"error","incarnation":3,"arrived":8,"counted":7,"in_flight":0,"request":8}`)
	f.Add(`{"@message":"listening"}`)
	f.Add(`panic: out of luck`)
	f.Add(`stopped: incarnation=1 arrived=8 counted=8 in_flight=0`)
	f.Fuzz(func(t *testing.T, line string) {
		c := ReadCount("a", []byte(line))
		var object map[string]any
		isObject := json.Unmarshal([]byte(line), &object) == nil
		has := slices.ContainsFunc(slices.Collect(maps.Keys(object)), func(key string) bool { return strings.EqualFold(key, "arrived") })
		if c != nil && (c.Replica != "a" || !(isObject && has) && !strings.Contains(line, "arrived=")) {
			t.Errorf("%q: %+v", line, c)
		}
	})
}

func TestLatestLaunch(t *testing.T) {
	all := []launch{{10 * time.Millisecond, 1}, {20 * time.Millisecond, 2}}
	for at, want := range map[time.Duration]int{0: 0, 10 * time.Millisecond: 1, 15 * time.Millisecond: 1, time.Second: 2} {
		if got := latest(all, at); got != want {
			t.Errorf("at %v: %d, want %d", at, got, want)
		}
	}
}

// FuzzLatest compares latest with a search from the end. Each byte is the time in nanoseconds from
// one launch to the next.
func FuzzLatest(f *testing.F) {
	f.Add([]byte{10, 10}, int64(15))
	f.Add([]byte{0, 0, 0}, int64(0))
	f.Add([]byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, gaps []byte, at int64) {
		var all []launch
		now := time.Duration(0)
		for i, gap := range gaps {
			now += time.Duration(gap)
			all = append(all, launch{now, i + 1})
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
