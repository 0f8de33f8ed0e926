package ctl

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// On a terminal each table replaces the previous one completely.
func TestFramesInPlace(t *testing.T) {
	var out strings.Builder
	f := &frames{w: &out, inPlace: true, apart: true}
	for _, text := range []string{"long line\nsecond\n", "short\n"} {
		if err := f.draw(func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if want := "\x1b[H\x1b[2Jlong line\x1b[K\nsecond\x1b[K\n\x1b[J" + "\x1b[Hshort\x1b[K\n\x1b[J"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// The header stays visible, whatever the size of the terminal.
func TestFitKeepsTheHeader(t *testing.T) {
	text := "HEADER IS LONG\na\nb\nc\nd\n"
	for _, tc := range []struct {
		columns, rows int
		want          string
	}{
		{20, 6, text},
		{6, 4, "HEADER\na\nand 3 \n"},
		{0, 0, text},
	} {
		if got := fit(text, func() (int, int) { return tc.columns, tc.rows }); got != tc.want {
			t.Errorf("%dx%d: got %q, want %q", tc.columns, tc.rows, got, tc.want)
		}
	}
}

func TestTexts(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	ago := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(at.Add(-d)) }
	s := &supervisorv1.Status{Time: ago(0), State: supervisorv1.State_STATE_WAITING, Next: ago(-1500 * time.Millisecond)}
	if got := stateText(s); got != "waiting 1.5s" {
		t.Errorf("got %q", got)
	}
	s.Last, s.Exited = &supervisorv1.Exit{Code: -1, Error: "no such\nfile"}, ago(26*time.Hour)
	if got := lastExitText(s); got != "no such file, 26h0m ago" {
		t.Errorf("got %q", got)
	}
	for d, want := range map[time.Duration]string{
		-1: "0s", 1234 * time.Millisecond: "1.2s", 61500 * time.Millisecond: "1m2s", 90 * time.Minute: "1h30m", 75 * time.Hour: "3d3h",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	p := &supervisorv1.Policy{
		Restart: supervisorv1.Restart_RESTART_ALWAYS, Delay: durationpb.New(time.Second),
		Backoff: &supervisorv1.Backoff{Factor: new(2.0), Max: durationpb.New(time.Minute), Reset_: durationpb.New(time.Hour), Jitter: new(0.1)},
	}
	if got, want := policyText(p), "restart always after 1s, backoff ×2 to 1m0s, reset after 1h0m0s, jitter 0.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var out strings.Builder
	e := &supervisorv1.Event{
		Sequence: 7, Kind: supervisorv1.EventKind_EVENT_KIND_LAUNCH_FAILED, Time: ago(0), Replica: "a", Incarnation: 2,
		Exit: &supervisorv1.Exit{Error: "no\nfile"}, Next: &supervisorv1.Decision{Relaunch: true, Delay: durationpb.New(time.Second), Reason: "it did not run"},
	}
	if err := writeEvent(&out, e, false); err != nil {
		t.Fatal(err)
	}
	want := at.Local().Format("15:04:05.000") + ` #7 a launch failed incarnation=2 error="no\nfile" relaunch_in=1s reason="it did not run"` + "\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// The reason why a replica is not ready is below the table.
func TestTableSaysWhyNotReady(t *testing.T) {
	var out strings.Builder
	if err := writeTable(&out, []*supervisorv1.Status{
		{Replica: "a", State: supervisorv1.State_STATE_READY},
		{Replica: "b", State: supervisorv1.State_STATE_STARTING, Answer: `it does not know the service "counter.v1.Countr"`},
	}, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 5 || lines[3] != `b is starting: it does not know the service "counter.v1.Countr"` {
		t.Errorf("got\n%s", out.String())
	}
}

// A replica that no longer exists is not ready, and no replicas at all are not a success.
func TestGoneReplicasAreNotReady(t *testing.T) {
	late, hopeless := unready([]*supervisorv1.Status{{Replica: "a", State: supervisorv1.State_STATE_WAITING}}, []string{"a", "b"})
	if want := []string{"a is waiting", "b is gone"}; !slices.Equal(late, want) || !hopeless {
		t.Errorf("got %q, hopeless %v", late, hopeless)
	}
	if _, err := nonEmpty(new(supervisorv1.ReloadResponse), nil); err == nil {
		t.Error("no replicas count as a success")
	}
}
