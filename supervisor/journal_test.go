package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
)

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := perform(t, of(group(1, restart.Policy{Delay: 999 * ms})), &script{lives: ms})
		th.at(1500 * ms)
		var got []string
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for e, err := range th.Watch(context.Background(), 2) {
				got = append(got, fmt.Sprint(e.Sequence, e.Kind, err))
			}
		}()
		th.at(2500 * ms)
		th.stop()
		<-watched // it ends with Run, without being told to
		expect(t, got, "3 ready <nil>", "4 exited <nil>", "5 launched <nil>", "6 ready <nil>", "7 exited <nil>",
			"8 launched <nil>", "9 ready <nil>", "10 exited <nil>", "11 removed <nil>")
		for e, err := range th.Watch(t.Context(), 99) {
			if !errors.Is(err, ErrForgotten) {
				t.Errorf("after 99: %v %v", e, err)
			}
		}
	})
}

func TestWatchForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := perform(t, of(group(1, restart.Policy{})), &script{lives: time.Second})
		th.at(2000 * time.Second) // 6,000 events
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		last := th.journal.last()
		for e, err := range th.Watch(ctx, last-kept) {
			if n++; err != nil || e.Sequence != last-kept+uint64(n) {
				t.Fatalf("event %d: %+v, %v", n, e, err)
			}
			if n == kept {
				break
			}
		}
		for _, err := range th.Watch(ctx, last-kept-1) {
			if !errors.Is(err, ErrForgotten) {
				t.Errorf("got %v, want %v", err, ErrForgotten)
			}
		}
	})
}

// Chatty replicas that crash do not take memory for all that they ever wrote.
func TestJournalBoundsOutput(t *testing.T) {
	output := slices.Repeat([]string{strings.Repeat("x", 1<<10)}, 20)
	for name, chatty := range map[string]func(i int) bool{
		"often":  func(i int) bool { return i%3 > 0 },
		"at end": func(i int) bool { return i%25 == 0 || i > 2*kept-10 }, // the ring's end is in the middle of it
	} {
		var j journal
		for i := range 2*kept + 100 {
			e := Event{Kind: EventLaunched}
			if chatty(i) {
				e = Event{Kind: EventExited, Output: output}
			}
			j.add(e, nil)
			if i%500 == 0 || i > 2*kept && i%4 == 0 {
				checkOutput(t, name, &j)
			}
		}
		if j.output < keptOutput-20<<10 {
			t.Errorf("%s: only %d bytes of output are kept", name, j.output)
		}
	}
}

// checkOutput fails unless the latest output is kept, within bounds.
func checkOutput(t *testing.T, name string, j *journal) {
	t.Helper()
	bytes, bare := 0, true
	for after := j.count - min(j.count, kept); after < j.count; after++ {
		e, _, err := j.next(after)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != EventExited {
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
