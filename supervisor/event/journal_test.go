package event

import (
	"slices"
	"strings"
	"testing"
)

// Memory for the output of crashed replicas is bounded.
func TestJournalBoundsOutput(t *testing.T) {
	output := slices.Repeat([]string{strings.Repeat("x", 1<<10)}, 20)
	for name, chatty := range map[string]func(i int) bool{
		"often":  func(i int) bool { return i%3 > 0 },
		"at end": func(i int) bool { return i%25 == 0 || i > 2*kept-10 }, // in the middle of the ring
	} {
		var j Journal
		for i := range 2*kept + 100 {
			e := Event{Kind: KindLaunched}
			if chatty(i) {
				e = Event{Kind: KindExited, Output: output}
			}
			j.Add(e, nil)
			if i%500 == 0 || i > 2*kept && i%4 == 0 {
				checkOutput(t, name, &j)
			}
		}
		if j.output < keptOutput-20<<10 {
			t.Errorf("%s: only %d bytes of output are kept", name, j.output)
		}
	}
}

// checkOutput checks that the journal keeps the latest output, that it has counted its bytes, and
// that they are within the bound.
func checkOutput(t *testing.T, name string, j *Journal) {
	t.Helper()
	bytes, bare := 0, true
	for after := j.count - min(j.count, kept); after < j.count; after++ {
		e, _, err := j.Next(after)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != KindExited {
			continue
		}
		if e.Output == nil && !bare {
			t.Fatalf("%s: event %d has no output, but an older one has", name, e.Sequence)
		}
		bare = e.Output == nil
		bytes += outputSize(e)
	}
	if bytes != j.output || bytes > keptOutput {
		t.Fatalf("%s: after %d events: %d bytes of output are kept, counted as %d", name, j.count, bytes, j.output)
	}
}
