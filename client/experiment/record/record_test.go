package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var twoCells = &design.Design{Cells: []design.Cell{{Settings: design.Defaults()}, {Settings: design.Defaults()}}}

// seen returns records of a trial that have something of each kind.
func seen(trial int) TrialRecords {
	exited := event.Event{
		Sequence: 9, Kind: event.KindExited, Time: began.Add(time.Second), Elapsed: 2 * time.Second, Replica: "a", Incarnation: 1,
		PID: 4711, Exit: restart.Exit{Code: 1, Uptime: time.Second}, Next: restart.Decision{Relaunch: true, Delay: time.Second},
	}
	return TrialRecords{
		Trial: Trial{
			Trial: design.Trial{Number: trial, Cell: 1, Repeat: 2, Seed: 1<<53 - 1}, Began: began, Took: 3 * time.Second,
			Interrupted: true, Late: 4, Addrs: map[string]string{"a": "127.0.0.1:7101"},
		},
		Calls: []Call{
			{
				Trial: trial, Number: 1, Intended: time.Millisecond, Start: 2 * time.Millisecond, Duration: 3 * time.Microsecond,
				Warmup: true, Replica: "b", Incarnation: 2, Value: 3, Attempts: []Attempt{
					{Number: 1, Round: 1, Replica: "a", Incarnation: 1, Start: 2 * time.Millisecond, Duration: time.Microsecond, Outcome: failover.OutcomeLost, Sent: true, Code: codes.Unavailable},
					{Number: 2, Round: 1, Replica: "b", Incarnation: 2, Start: 2 * time.Millisecond, Duration: 2 * time.Microsecond, Sent: true, Hedge: true},
				},
			},
			{Trial: trial, Number: 2, Result: ResultFailed, Reason: "shed", Code: codes.ResourceExhausted, Attempts: []Attempt{}},
			{Trial: trial, Number: 3, Result: ResultInterrupted, Code: codes.Canceled, Attempts: []Attempt{}},
		},
		Events: []Event{
			{Trial: trial, At: -time.Millisecond, Process: &exited},
			{Trial: trial, At: time.Second, Count: &Count{Replica: "a", Incarnation: 1, Arrived: 8, Counted: 7, InFlight: 2, Crash: 8}},
		},
	}
}

func create(t *testing.T, runs string) *Writer {
	t.Helper()
	w, err := Create(runs, Manifest{
		Name: "example", Seed: 7, Began: began, Versions: Versions{Go: "go1"}, Design: twoCells,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t *testing.T, w *Writer, trials ...TrialRecords) {
	t.Helper()
	for _, s := range trials {
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string) *Run {
	t.Helper()
	run, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestWriteAndOpen(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	w := create(t, runs)
	write(t, w, seen(2), seen(1))
	if err := w.Close(true); err != nil {
		t.Fatal(err)
	}
	run := open(t, filepath.Join(runs, "latest"))
	if want := []TrialRecords{seen(1), seen(2)}; !reflect.DeepEqual(run.Trials, want) {
		t.Errorf("got  %+v\nwant %+v", run.Trials, want)
	}
	m := run.Manifest
	if m.Seed != 7 || m.Name != "example" || !m.Interrupted || m.Ended.IsZero() || m.Versions.Go != "go1" {
		t.Errorf("manifest %+v", m)
	}
	if filepath.Base(run.Dir) != "20260102-030405-example" {
		t.Errorf("the run is in %s, want a folder named 20260102-030405-example", run.Dir)
	}
}

// The prediction of a run is in its folder, and a later prediction replaces it.
func TestPrediction(t *testing.T) {
	w := create(t, t.TempDir())
	write(t, w, seen(1))
	if err := w.Close(false); err != nil {
		t.Fatal(err)
	}
	run := open(t, w.Dir())
	if predicted, err := run.Prediction(); predicted != nil || err != nil {
		t.Fatalf("before: %+v, %v", predicted, err)
	}
	if err := os.Mkdir(filepath.Join(w.Dir(), PredictionFolder+".new"), 0o777); err != nil { // left by a killed process
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		want := &Run{Manifest: Manifest{Engine: EngineSimulation, Seed: uint64(n), Design: twoCells}}
		for trial := range n {
			want.Trials = append(want.Trials, seen(trial+1))
		}
		if err := WritePrediction(run.Dir, want); err != nil {
			t.Fatal(err)
		}
		predicted, err := run.Prediction()
		if err != nil {
			t.Fatal(err)
		}
		if m := predicted.Manifest; !m.Predicted() || m.Seed != uint64(n) || m.Ended.IsZero() || !reflect.DeepEqual(predicted.Trials, want.Trials) {
			t.Errorf("got %+v, want %+v", predicted, want)
		}
	}
	if again := open(t, w.Dir()); !reflect.DeepEqual(again, run) {
		t.Errorf("the run is now %+v, was %+v", again, run)
	}
	if left, _ := filepath.Glob(filepath.Join(w.Dir(), "*.new")); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if err := os.Remove(filepath.Join(w.Dir(), PredictionFolder, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Prediction(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a prediction without a manifest: got %v, want %v", err, os.ErrNotExist)
	}
}

// Other programs rely on these exact bytes.
func TestCallJSON(t *testing.T) {
	got, err := json.Marshal(seen(1).Calls[0])
	want := `{"trial":1,"call":1,"intended_us":1000,"start_us":2000,"duration_us":3,"result":"ok","warmup":true,` +
		`"replica":"b","incarnation":2,"value":3,"attempts":[` +
		`{"attempt":1,"round":1,"replica":"a","incarnation":1,"start_us":2000,"duration_us":1,"outcome":"lost","sent":true,"code":"UNAVAILABLE"},` +
		`{"attempt":2,"round":1,"replica":"b","incarnation":2,"start_us":2000,"duration_us":2,"outcome":"ok","sent":true,"hedge":true}]}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// Open reads the complete trials of a killed run.
func TestKilledRun(t *testing.T) {
	runs := t.TempDir()
	w := create(t, runs)
	write(t, w, seen(1))
	for _, f := range []string{callsFile, eventsFile} {
		appendText(t, filepath.Join(w.Dir(), f), `{"trial":2,"call":1}`+"\n"+`{"trial":2,"ca`)
	}
	run := open(t, w.Dir())
	if len(run.Trials) != 1 || len(run.Trials[0].Calls) != 3 || len(run.Trials[0].Events) != 2 || !run.Manifest.Ended.IsZero() {
		t.Errorf("got %+v", run)
	}
}

// A failed write leaves half a line. Nothing follows it, and what was written before can be read.
func TestFailedWrite(t *testing.T) {
	w := create(t, t.TempDir())
	write(t, w, seen(1))
	big := seen(2)
	big.Calls = slices.Repeat(big.Calls, 1000)
	limitFileSize(t, func() {
		if err := w.Write(big); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("got %v, want %v", err, syscall.EFBIG)
		}
	})
	if err := w.Write(seen(3)); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v, want the error of the write before", err)
	}
	if err := w.Close(true); err != nil {
		t.Error(err)
	}
	if run := open(t, w.Dir()); len(run.Trials) != 1 || len(run.Trials[0].Calls) != 3 {
		t.Errorf("got %+v", run.Trials)
	}
}

// limitFileSize calls f while no file can grow beyond 16 KiB.
func limitFileSize(t *testing.T, f func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 16 << 10, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)
	f()
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	runs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(runs, "latest", "mine"), 0o777); err != nil { // in the way of the link
		t.Fatal(err)
	}
	if _, err := Create(runs, Manifest{Name: "example", Began: began, Design: twoCells}); err == nil {
		t.Fatal("no error")
	}
	if left, err := os.ReadDir(runs); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v; want latest alone", left, err)
	}
}

func TestRunsHaveSeparateFolders(t *testing.T) {
	runs := t.TempDir()
	first, second := create(t, runs).Dir(), create(t, runs).Dir()
	if first == second {
		t.Errorf("two runs in %s", first)
	}
	if to, err := os.Readlink(filepath.Join(runs, "latest")); err != nil || to != filepath.Base(second) {
		t.Errorf("latest points to %q, %v, want %s", to, err, filepath.Base(second))
	}
}

func TestBadFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text, want string
	}{
		"line that is not JSON": {callsFile, "nonsense\n", "records.jsonl:4: "},
		"no such outcome":       {callsFile, `{"trial":1,"attempts":[{"outcome":"won"}]}` + "\n", `records.jsonl:4: "won": want ok, `},
		"no such result":        {callsFile, `{"trial":1,"result":"won"}` + "\n", `records.jsonl:4: "won": want ok, failed or interrupted`},
		"no such code":          {callsFile, `{"trial":1,"code":"WON"}` + "\n", `records.jsonl:4: "WON": want the name of a gRPC status`},
		"event of another kind": {eventsFile, `{"process":{"v":1,"kind":"won"}}` + "\n", `events.jsonl:4: `},
		"another version":       {manifestFile, `{"version":2}`, "manifest.json: version 2: want 1"},
		"no design":             {manifestFile, `{"version":1}`, "manifest.json: no design"},
		"no settings":           {manifestFile, `{"version":1,"design":{"cells":[{}]}}`, "manifest.json: cell 0 has no settings"},
		"other factors": {manifestFile, `{"version":1,"design":{"cells":[{"settings":{}},{"levels":[{"factor":"x"}],"settings":{}}]}}`,
			"manifest.json: cell 1 has levels of other factors than cell 0"},
		"no such cell": {eventsFile, `{"trial":3,"ended":{"trial":3,"cell":2}}` + "\n", "events.jsonl:4: trial 3 is of cell 2: want 0 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := create(t, t.TempDir())
			write(t, w, seen(1))
			path := filepath.Join(w.Dir(), tc.file)
			if tc.file == manifestFile {
				if err := os.WriteFile(path, nil, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			appendText(t, path, tc.text)
			if _, err := Open(w.Dir()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder without a run: got %v, want %v", err, os.ErrNotExist)
	}
}

func appendText(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkOpen(b *testing.B) {
	w, err := Create(b.TempDir(), Manifest{Name: "bench", Began: began, Design: twoCells})
	if err != nil {
		b.Fatal(err)
	}
	s := seen(1)
	for i := range 50_000 {
		c := s.Calls[0]
		c.Number = i + 1
		s.Calls = append(s.Calls, c)
	}
	if err := w.Write(s); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		run, err := Open(w.Dir())
		if err != nil || len(run.Trials) != 1 {
			b.Fatal(fmt.Sprint(run, err))
		}
	}
}
