package record

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// roundTrip fails the test unless the value that text encodes keeps its encoding when it is
// written, read and written again.
func roundTrip[T any](t *testing.T, text string) {
	t.Helper()
	var first, second T
	if json.Unmarshal([]byte(text), &first) != nil {
		return
	}
	written, err := json.Marshal(first)
	if err != nil || bytes.ContainsRune(written, '\n') {
		t.Fatalf("%q is written as %q, %v", text, written, err)
	}
	if err := json.Unmarshal(written, &second); err != nil {
		t.Fatalf("%s cannot be read: %v", written, err)
	}
	if again, err := json.Marshal(second); err != nil || !bytes.Equal(again, written) {
		t.Errorf("%s, written again: %s, %v", written, again, err)
	}
}

func FuzzCall(f *testing.F) {
	for _, c := range seen(1).Calls {
		text, _ := json.Marshal(c)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) { roundTrip[Call](t, text) })
}

func FuzzEvent(f *testing.F) {
	records := seen(1)
	for _, e := range append(records.Events, Event{Trial: 1, Ended: &records.Trial}) {
		text, _ := json.Marshal(e)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) { roundTrip[Event](t, text) })
}

func FuzzManifest(f *testing.F) {
	text, _ := json.Marshal(Manifest{Version: 1, Name: "example", Began: began, Design: twoCells})
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		var m Manifest
		if json.Unmarshal([]byte(text), &m) == nil && m.check() == nil {
			roundTrip[Manifest](t, text)
		}
	})
}

// Whatever the files contain, Open returns a consistent run or an error that names the file.
func FuzzOpen(f *testing.F) {
	manifest, _ := json.Marshal(Manifest{Version: 1, Design: twoCells})
	f.Add(string(manifest), `{"trial":1,"call":1}`+"\n", `{"trial":1,"ended":{"trial":1,"cell":1}}`+"\n")
	f.Add(string(manifest), `{"trial":1,"ca`, `{"trial":2,"ended":{"trial":2,"cell":2}}`+"\n")
	f.Fuzz(func(t *testing.T, manifest, calls, events string) {
		dir := t.TempDir()
		for name, text := range map[string]string{manifestFile: manifest, callsFile: calls, eventsFile: events} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run, err := Open(dir)
		if err != nil {
			if !slices.ContainsFunc([]string{manifestFile, callsFile, eventsFile}, func(name string) bool {
				return strings.Contains(err.Error(), string(filepath.Separator)+name+":")
			}) {
				t.Errorf("the error %v names no file", err)
			}
			return
		}
		for i, trial := range run.Trials {
			if trial.Number < 1 || trial.Cell < 0 || trial.Cell >= len(run.Manifest.Design.Cells) || i > 0 && run.Trials[i-1].Number > trial.Number {
				t.Errorf("trial %d of %d cells: %+v", i, len(run.Manifest.Design.Cells), trial.Trial)
			}
		}
	})
}
