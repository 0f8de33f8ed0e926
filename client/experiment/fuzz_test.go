package experiment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/record"
)

// Any files that can be opened can be summarized, written as JSON, and compared with themselves,
// from which they do not differ.
func FuzzSummarize(f *testing.F) {
	f.Add(`{"version":1,"design":{"cells":[{"levels":[{"factor":"rounds","value":"3"}],"settings":{}}],"claims":[{"claim":"success >= 0.5"}]}}`,
		`{"trial":1,"call":1,"intended_us":0,"start_us":0,"duration_us":9,"result":"ok","attempts":[{"replica":"a","outcome":"ok","sent":true}]}`+"\n",
		`{"trial":1,"at_us":9,"ended":{"trial":1,"cell":0,"repeat":1}}`+"\n")
	f.Add(`{"version":1,"design":{"cells":[{"row":"x","settings":{}},{"row":"y","settings":{"rounds":"9"}}]}}`, "",
		`{"trial":1,"ended":{"trial":1,"late":9}}`+"\n"+`{"trial":2,"ended":{"trial":2,"cell":1}}`+"\n")
	f.Fuzz(func(t *testing.T, manifest, calls, events string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"manifest.json": manifest, "records.jsonl": calls, "events.jsonl": events} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run, err := record.Open(dir)
		if err != nil {
			return
		}
		s := Summarize(run)
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
		if s.Verdict < VerdictHeld || s.Verdict > VerdictFailed || len(s.Cells) != len(run.Manifest.Design.Cells) {
			t.Errorf("%+v", s)
		}
		same, err := Compare(run, run)
		if err != nil && (strings.Contains(err.Error(), "\n") || len(s.Cells) > 0) {
			t.Error(err)
		}
		titles := map[string]int{}
		for _, c := range s.Cells {
			titles[c.Cell.Title()]++
		}
		for _, d := range same {
			if titles[d.Cell] == 1 && (d.Effect != EffectInconclusive || len(d.Settings) > 0) {
				t.Errorf("a run differs from itself: %+v", d)
			}
		}
	})
}
