package report

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
)

// FuzzRun reads the files of a run and, if they are valid, presents it in every form.
func FuzzRun(f *testing.F) {
	manifest, calls, events := runFiles(f, plan{rows: 2, levels: 2, repeats: 1, calls: 2, workers: 1})
	f.Add(manifest, calls, events)
	f.Add(`{"version":1,"design":{"cells":[{}]}}`, `{"trial":1}`+"\n", `{"trial":1,"ended":{"trial":1}}`+"\n")
	f.Add(`{"version":1,"design":{"claims":[{}],"cells":[]}}`, "", "")
	f.Fuzz(func(t *testing.T, manifest, calls, events string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"manifest.json": manifest, "records.jsonl": calls, "events.jsonl": events} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run, err := record.Open(dir)
		if err != nil {
			if !strings.HasPrefix(err.Error(), dir) {
				t.Errorf("%v names no file", err)
			}
			return
		}
		summary := experiment.Summarize(run)
		for _, format := range []string{"table", "csv", "md"} {
			if err := Table(io.Discard, format, run, summary); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
		var b bytes.Buffer
		if err := Table(&b, "json", run, summary); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("json: %v: %s", err, b.Bytes())
		}
		if err := HTML(io.Discard, run, summary); err != nil {
			t.Error(err)
		}
	})
}

// runFiles writes a made-up run and returns its files.
func runFiles(f *testing.F, p plan) (manifest, calls, events string) {
	f.Helper()
	run := madeRun(p)
	w, err := record.Create(f.TempDir(), run.Manifest)
	if err != nil {
		f.Fatal(err)
	}
	for _, trial := range run.Trials {
		if err := w.Write(trial); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(false); err != nil {
		f.Fatal(err)
	}
	var texts []string
	for _, name := range []string{"manifest.json", "records.jsonl", "events.jsonl"} {
		text, err := os.ReadFile(filepath.Join(w.Dir(), name))
		if err != nil {
			f.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts[0], texts[1], texts[2]
}
