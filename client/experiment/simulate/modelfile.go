package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/parse"
)

// maxSpan is the greatest duration in a model.
const maxSpan = time.Minute

// Span is a duration in a model file, written with its unit, such as 1.5ms.
type Span time.Duration

// String returns the duration with its unit, rounded to microseconds.
func (s Span) String() string { return time.Duration(s).Round(time.Microsecond).String() }

// MarshalText returns what String does.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses a duration with its unit, from 0s to a minute.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := parse.Duration(string(text))
	if err != nil || d > maxSpan {
		return fmt.Errorf("%q: want a duration with its unit, from 0s to %v", text, maxSpan)
	}
	*s = Span(d)
	return nil
}

// count is a whole number in a model file.
type count int

func (n *count) UnmarshalText(text []byte) (err error) {
	*(*int)(n), err = parse.Whole(string(text), 0, 1e9)
	return err
}

// ModelFile returns the default path of the model file, crashlab/model.json in the folder of
// [os.UserConfigDir].
func ModelFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "crashlab", "model.json"), nil
}

// LoadModel returns the model in a file written by [Model.Save]. If path is empty, it reads
// [ModelFile], or returns [DefaultModel] if there is no such file. The error is an
// [*inputfile.Refused] or an [*inputfile.Mistake] if the file is not valid, and wraps
// [fs.ErrNotExist] if path names a missing file.
func LoadModel(path string) (Model, error) {
	if path == "" {
		path, err := ModelFile()
		if err != nil {
			return DefaultModel(), nil // no home directory, so no model file
		}
		m, err := LoadModel(path)
		if errors.Is(err, fs.ErrNotExist) {
			return DefaultModel(), nil
		}
		return m, err
	}
	text, err := inputfile.Read(path, inputfile.MaxYAML)
	if err != nil {
		return Model{}, err
	}
	d, err := inputfile.Parse(path, text) // JSON is YAML
	if err != nil {
		return Model{}, err
	}
	var m Model
	if err := d.Decode(&m, nil); err != nil {
		return Model{}, err
	}
	_, parts := inputfile.Field(reflect.ValueOf(m), "")
	for _, part := range parts {
		if !d.Has(part + ".median") {
			return Model{}, d.At(nil).Errorf("no %s.median: want that of each of %s; crashlab calibrate measures them", part, strings.Join(parts, ", "))
		}
	}
	return m, nil
}

// Save writes the model to a file atomically. It creates the file's folder if it is missing.
func (m Model) Save(path string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
