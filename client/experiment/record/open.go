package record

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/supervisor/inputfile"
)

// maxManifest is the size in bytes of a manifest that is read; one of the most cells that a design
// may have is smaller.
const maxManifest = 64 << 20

// Open reads the files of the run in a folder. Records of a trial whose end is not among them, as a
// run that was killed leaves them, are left out. An error names the file and the line; a file that
// is no regular one is [*inputfile.Refused].
func Open(dir string) (*Run, error) {
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		dir = target // runs/latest will point elsewhere some day
	}
	run := &Run{Dir: dir}
	text, err := inputfile.Read(filepath.Join(dir, manifestFile), maxManifest)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &run.Manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, manifestFile), err)
	}
	if err := run.Manifest.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, manifestFile), err)
	}
	byNumber := map[int]*TrialRecords{}
	of := func(number int) *TrialRecords {
		if byNumber[number] == nil {
			byNumber[number] = new(TrialRecords)
		}
		return byNumber[number]
	}
	err = eachLine(filepath.Join(dir, callsFile), func(c Call) error {
		t := of(c.Trial)
		t.Calls = append(t.Calls, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachLine(filepath.Join(dir, eventsFile), func(e Event) error {
		t := of(e.Trial)
		if e.Ended == nil {
			t.Events = append(t.Events, e)
			return nil
		}
		t.Trial = *e.Ended
		return run.Manifest.checkTrial(t.Trial)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range byNumber {
		if t.Number > 0 {
			run.Trials = append(run.Trials, *t)
		}
	}
	slices.SortFunc(run.Trials, func(a, b TrialRecords) int { return cmp.Compare(a.Number, b.Number) })
	return run, nil
}

// Prediction reads the run that predicts this one, as [WritePrediction] has written it; nil where
// none does.
func (r *Run) Prediction() (*Run, error) {
	if r.Dir == "" {
		return nil, nil
	}
	dir := filepath.Join(r.Dir, PredictionFolder)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return Open(dir)
}

// check returns an error for what those who compute from a run would trip over.
func (m *Manifest) check() error {
	if m.Version != version {
		return fmt.Errorf("version %d: want %d", m.Version, version)
	}
	if m.Design == nil {
		return errors.New("no design")
	}
	for i, c := range m.Design.Cells {
		if c.Settings == (design.Settings{}) {
			return fmt.Errorf("cell %d has no settings", i)
		}
		sameFactor := func(a, b design.Level) bool { return a.Factor == b.Factor }
		if !slices.EqualFunc(c.Levels, m.Design.Cells[0].Levels, sameFactor) {
			return fmt.Errorf("cell %d has levels of other factors than cell 0", i)
		}
	}
	return nil
}

func (m *Manifest) checkTrial(t Trial) error {
	if t.Cell < 0 || t.Cell >= len(m.Design.Cells) {
		return fmt.Errorf("trial %d is of cell %d: want 0 to %d", t.Number, t.Cell, len(m.Design.Cells)-1)
	}
	return nil
}

// eachLine reads one record from each line. The last line may be cut off.
func eachLine[T any, P interface {
	*T
	json.Unmarshaler
}](path string, take func(T) error) error {
	f, err := inputfile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var record T
		if err = P(&record).UnmarshalJSON(line); err == nil {
			err = take(record)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
}
