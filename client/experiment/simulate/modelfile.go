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

// maxSpan bounds every part of a model.
const maxSpan = time.Minute

// Span is a duration as the file of a model spells it.
type Span time.Duration

func (s Span) String() string { return time.Duration(s).Round(time.Microsecond).String() }

func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Span) UnmarshalText(text []byte) error {
	d, err := parse.Duration(string(text))
	if err != nil || d > maxSpan {
		return fmt.Errorf("%q: want a duration with its unit, from 0s to %v", text, maxSpan)
	}
	*s = Span(d)
	return nil
}

// count is a whole number as the file of a model spells it.
type count int

func (n *count) UnmarshalText(text []byte) (err error) {
	*(*int)(n), err = parse.Whole(string(text), 0, 1e9)
	return err
}

// ModelFile is where a model is found and saved unless another file is named: crashlab/model.json
// in the user's configuration.
func ModelFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "crashlab", "model.json"), nil
}

// LoadModel returns the model in a file that [Model.Save] wrote. Without a path it is that of
// [ModelFile], or [DefaultModel] where there is none. A file that cannot be used is an
// [*inputfile.Refused] or an [*inputfile.Mistake], and one that is missing fs.ErrNotExist.
func LoadModel(path string) (Model, error) {
	if path == "" {
		usual, err := ModelFile()
		if err != nil {
			return DefaultModel(), nil // no home, so no file in it
		}
		m, err := LoadModel(usual)
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

// Save writes the model to a file, whose folder is made where it is missing. Whoever reads it
// meanwhile finds the old or the new one.
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
