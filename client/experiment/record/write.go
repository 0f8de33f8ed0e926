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

// PredictionFolder is the name of the folder inside a run's folder that has its prediction.
const PredictionFolder = "predicted"

// Writer writes the files of a run. [Create] returns one. It is not safe for concurrent use.
type Writer struct {
	dir           string
	manifest      Manifest
	calls, events *os.File
	failed        error // the first error of Write
}

// Create creates a folder for a run inside the folder runs, named after the manifest's Began and
// Name, and points the link runs/latest to it. It creates runs if it is missing. If it returns an
// error, it leaves no folder of the run.
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

// newWriter creates the files of a run in an empty folder. If it returns an error, the writer has
// the files that it could create.
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

// WritePrediction writes a prediction into the folder dir of the run that it predicts. It replaces
// an earlier prediction.
func WritePrediction(dir string, predicted *Run) error {
	path := filepath.Join(dir, PredictionFolder)
	fresh := path + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	defer os.RemoveAll(fresh) // no effect after the rename
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

// Save writes the files of a run into the folder dir, which it creates if it is missing. If dir is
// not an empty folder, the error is a [*NotEmpty].
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

// NotEmpty is the error for a path that is neither free nor an empty folder.
type NotEmpty struct{ Dir string }

// Error returns one line with the path.
func (n *NotEmpty) Error() string {
	return fmt.Sprintf("%q: want a new folder, or an empty one", n.Dir)
}

// CheckEmpty returns nil if dir is an empty folder or does not exist, and a [*NotEmpty] if there is
// anything else.
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

// newFolder creates a folder of the given name, and appends a number if the name is taken.
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

// pointLatest points the link runs/latest to the folder, atomically.
func pointLatest(runs, folder string) error {
	fresh := filepath.Join(runs, "."+latest+"-"+folder)
	if err := os.Symlink(folder, fresh); err != nil {
		return err
	}
	defer os.Remove(fresh) // no effect after the rename
	return os.Rename(fresh, filepath.Join(runs, latest))
}

// Dir returns the path of the run's folder.
func (w *Writer) Dir() string { return w.dir }

// Write appends the records of a trial. Readers see the trial only after Write returns. After an
// error, which may leave an incomplete line, further calls write nothing and return the same error.
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

// Close completes the manifest and closes the files. Interrupted says that trials are missing.
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

// writeManifest replaces the manifest atomically, so that readers always find a complete one.
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
