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

// maxManifest is the greatest size in bytes of a manifest. The largest design needs less.
const maxManifest = 64 << 20

// Open reads the run in the folder dir. It leaves out incomplete trials, which a killed run may
// have. An error names the file and the line; it is an [*inputfile.Refused] if the file is not a
// regular one, and wraps [fs.ErrNotExist] if it is missing.
func Open(dir string) (*Run, error) {
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		dir = target // the link runs/latest moves on with the next run
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

// Prediction reads the prediction of the run that [WritePrediction] wrote. It returns nil if there
// is none.
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

// check returns an error if the manifest lacks what computations on a run rely on.
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

// eachLine reads one record from each line. It ignores a last line that is incomplete.
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
