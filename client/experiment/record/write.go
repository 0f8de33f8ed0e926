package record

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The files of a run.
const (
	version      = 1
	manifestFile = "manifest.json"
	callsFile    = "records.jsonl"
	eventsFile   = "events.jsonl"
	latest       = "latest"
)

// PredictionFolder is, in the folder of a run, that of the run which predicts it.
const PredictionFolder = "predicted"

// Writer writes the files of a run. Make it with [Create]. It is for one goroutine.
type Writer struct {
	dir           string
	manifest      Manifest
	calls, events *os.File
	failed        error // of the first Write that failed
}

// Create makes a new folder in runs for the files of a run, named by the time and the manifest's
// name, and makes runs/latest point to it. Folders that are missing are made. An error leaves no
// folder of the run.
func Create(runs string, m Manifest) (*Writer, error) {
	name := m.Began.Format("20060102-150405") + "-" + m.Name
	if m.Shard != "" {
		name += "-shard-" + strings.ReplaceAll(m.Shard, "/", "-of-")
	}
	dir, err := newFolder(runs, name)
	if err != nil {
		return nil, err
	}
	w, err := newWriter(dir, m)
	if err == nil {
		err = pointLatest(runs, filepath.Base(dir))
	}
	if err != nil {
		w.calls.Close()
		w.events.Close()
		os.RemoveAll(dir)
		return nil, err
	}
	return w, nil
}

// newWriter makes the files of a run in an empty folder. After an error the writer has those that
// were made.
func newWriter(dir string, m Manifest) (*Writer, error) {
	m.Version = version
	w := &Writer{dir: dir, manifest: m}
	var err error
	w.calls, err = os.Create(filepath.Join(dir, callsFile))
	if err == nil {
		w.events, err = os.Create(filepath.Join(dir, eventsFile))
	}
	if err == nil {
		err = w.writeManifest()
	}
	return w, err
}

// WritePrediction writes the files of a run into a folder of the run that it predicts, in place of
// an earlier prediction.
func WritePrediction(dir string, predicted *Run) error {
	path := filepath.Join(dir, PredictionFolder)
	fresh := path + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	defer os.RemoveAll(fresh) // unless it was renamed
	ended := *predicted
	ended.Manifest.Ended = time.Now()
	if err := Save(fresh, &ended); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// Save writes the files of a run into a folder of that name, which is made, or is empty.
func Save(dir string, run *Run) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := CheckEmpty(dir); err != nil {
		return err
	}
	w, err := newWriter(dir, run.Manifest)
	for _, t := range run.Trials {
		if err == nil {
			err = w.Write(t)
		}
	}
	return cmp.Or(err, w.calls.Close(), w.events.Close())
}

// NotEmpty is an error for a folder that has something in it.
type NotEmpty struct{ Dir string }

// Error is one line.
func (n *NotEmpty) Error() string {
	return fmt.Sprintf("%q: want a new folder, or an empty one", n.Dir)
}

// CheckEmpty returns [*NotEmpty] for a path at which there is anything but an empty folder; nothing
// is allowed too.
func CheckEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR), len(entries) > 0:
		return &NotEmpty{dir}
	}
	return err
}

// newFolder makes the folder of that name, with a number behind it where one of that name is there
// already.
func newFolder(runs, name string) (string, error) {
	if err := os.MkdirAll(runs, 0o777); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		dir := filepath.Join(runs, name)
		if n > 1 {
			dir += "-" + strconv.Itoa(n)
		}
		if err := os.Mkdir(dir, 0o777); !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
}

// pointLatest makes the link runs/latest point to the folder. Who reads it meanwhile finds the old
// or the new one.
func pointLatest(runs, folder string) error {
	fresh := filepath.Join(runs, "."+latest+"-"+folder)
	if err := os.Symlink(folder, fresh); err != nil {
		return err
	}
	defer os.Remove(fresh) // unless it was renamed
	return os.Rename(fresh, filepath.Join(runs, latest))
}

// Dir is the folder of the run.
func (w *Writer) Dir() string { return w.dir }

// Write appends what was seen in a trial. Until it returns, the files say nothing of the trial.
// After an error, which may have left half a line, it writes nothing more and returns that error
// again.
func (w *Writer) Write(t TrialRecords) error {
	if w.failed == nil {
		w.failed = w.write(t)
	}
	return w.failed
}

func (w *Writer) write(t TrialRecords) error {
	if err := appendLines(w.calls, t.Calls); err != nil {
		return err
	}
	ended := Event{Trial: t.Number, At: t.Took, Ended: &t.Trial}
	return appendLines(w.events, append(slices.Clip(t.Events), ended))
}

// Close ends the run. Interrupted says that trials were left out.
func (w *Writer) Close(interrupted bool) error {
	w.manifest.Ended, w.manifest.Interrupted = time.Now(), interrupted
	return errors.Join(w.writeManifest(), w.calls.Close(), w.events.Close())
}

func appendLines[T json.Marshaler](f *os.File, records []T) error {
	b := bufio.NewWriter(f)
	for _, r := range records {
		line, err := r.MarshalJSON()
		if err != nil {
			return err
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Flush()
}

// writeManifest replaces the manifest, so that there is a whole one at any time.
func (w *Writer) writeManifest() error {
	text, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	path := filepath.Join(w.dir, manifestFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
