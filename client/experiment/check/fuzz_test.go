package check

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// Whatever the records, Trial returns a bounded number of violations, each with a detail of one
// line.
func FuzzTrial(f *testing.F) {
	seen := newWorld(3).run(4)
	f.Add(lines(f, seen.Calls[:5]), lines(f, seen.Events))
	f.Add([]byte(`{"trial":1,"call":1,"result":"ok"}`), []byte(`{"trial":1,"count":{"replica":"a","incarnation":1,"counted":2}}`))
	f.Fuzz(func(t *testing.T, calls, events []byte) {
		var seen record.TrialRecords
		seen.Number = 1
		for line := range bytes.Lines(calls) {
			var c record.Call
			if json.Unmarshal(line, &c) == nil {
				seen.Calls = append(seen.Calls, c)
			}
		}
		for line := range bytes.Lines(events) {
			var e record.Event
			if json.Unmarshal(line, &e) == nil {
				seen.Events = append(seen.Events, e)
			}
		}
		found := Trial(clone(seen))
		byCheck := map[string]int{}
		for _, v := range found {
			if byCheck[v.Check]++; byCheck[v.Check] > maxDetails+1 || strings.Contains(v.Detail, "\n") || v.Detail == "" {
				t.Errorf("%d: %q %q", byCheck[v.Check], v.Check, v.Detail)
			}
		}
		if len(seen.Calls) > 0 && !slices.ContainsFunc(seen.Calls, func(c record.Call) bool { return c.Number == 1 }) && byCheck[oneEnd] == 0 {
			t.Errorf("call 1 is missing, but no violation says so: %v", found)
		}
	})
}

// lines returns the records in the format of the files.
func lines[T any](t testing.TB, records []T) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, r := range records {
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// A healthy world has no violation.
func FuzzWorld(f *testing.F) {
	f.Add(uint64(1), uint8(5))
	f.Add(uint64(1<<63), uint8(64))
	f.Fuzz(func(t *testing.T, seed uint64, workers uint8) {
		seen := newWorld(seed).run(1 + int(workers%64))
		if found := Trial(seen); len(found) > 0 {
			t.Errorf("%d calls, %d events: %v", len(seen.Calls), len(seen.Events), found)
		}
	})
}

// FuzzUnaccounted compares unaccounted with the best of all assignments. Each byte of counts is the
// number of requests of an incarnation; each two bytes of attempts are the start and the duration
// of an attempt.
func FuzzUnaccounted(f *testing.F) {
	f.Add([]byte{1, 2, 0}, []byte{0, 5, 10, 20, 15, 1})
	f.Add([]byte{3}, []byte{255, 255})
	f.Fuzz(func(t *testing.T, counts, attempts []byte) {
		r := &replica{}
		var requests []int
		last := always
		for i, n := range counts[:min(len(counts), 6)] {
			end := time.Duration(i+1) * 10 * ms
			r.lives = append(r.lives, &life{number: i + 1, begin: last, end: end})
			last, requests = end, append(requests, int(n%5))
		}
		for pair := range slices.Chunk(attempts[:min(len(attempts), 14)], 2) {
			if len(pair) == 2 {
				start := time.Duration(pair[0]) * ms / 2
				r.ambiguous = append(r.ambiguous, span{start, start + time.Duration(pair[1])*ms/4})
			}
		}
		r.sort()
		want := total(requests) - mostAccounted(r, slices.Clone(requests), 0)
		if got := total(r.unaccounted(requests)); got != want {
			t.Errorf("requests %v, attempts %v: %d are left, want %d", requests, r.ambiguous, got, want)
		}
	})
}
