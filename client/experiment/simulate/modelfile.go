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

// Calibration is a [Model] as it was measured. It is what the file of a model has.
type Calibration struct {
	RoundTrip Measurement `yaml:"round_trip" json:"round_trip"`
	Connect   Measurement `yaml:"connect" json:"connect"`
	Refuse    Measurement `yaml:"refuse" json:"refuse"`
	Notice    Measurement `yaml:"notice" json:"notice"`
	Relaunch  Measurement `yaml:"relaunch" json:"relaunch"`
	Boot      Measurement `yaml:"boot" json:"boot"`
}

// Measurement is a median and its 95% interval.
type Measurement struct {
	Median span `yaml:"median" json:"median"`
	Low    span `yaml:"low" json:"low"`
	High   span `yaml:"high" json:"high"`
	// N is how many measurements it is made of. Zero: none, and Median is that of DefaultModel.
	N count `yaml:"measurements" json:"measurements"`
	// Spread is how single measurements differ from the median.
	Spread Spread `yaml:"spread" json:"spread"`
}

// maxSpan bounds every part of a model.
const maxSpan = time.Minute

// span is a duration as the file of a model spells it.
type span time.Duration

func (s span) String() string { return time.Duration(s).Round(time.Microsecond).String() }

func (s span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *span) UnmarshalText(text []byte) error {
	d, err := parse.Duration(string(text))
	if err != nil || d > maxSpan {
		return fmt.Errorf("%q: want a duration with its unit, from 0s to %v", text, maxSpan)
	}
	*s = span(d)
	return nil
}

// count is a whole number as the file of a model spells it.
type count int

func (n *count) UnmarshalText(text []byte) (err error) {
	*(*int)(n), err = parse.Whole(string(text), 0, 1e9)
	return err
}

// defaults is the calibration of which nothing was measured.
func defaults() Calibration {
	m := DefaultModel()
	part := func(d time.Duration) Measurement { return Measurement{Median: span(d), Low: span(d), High: span(d)} }
	return Calibration{part(m.RoundTrip), part(m.Connect), part(m.Refuse), part(m.Notice), part(m.Relaunch), part(m.Boot)}
}

// Model returns the medians and their spreads.
func (c Calibration) Model() Model {
	return Model{
		RoundTrip: time.Duration(c.RoundTrip.Median), Connect: time.Duration(c.Connect.Median), Refuse: time.Duration(c.Refuse.Median),
		Notice: time.Duration(c.Notice.Median), Relaunch: time.Duration(c.Relaunch.Median), Boot: time.Duration(c.Boot.Median),
		Spreads: Spreads{c.RoundTrip.Spread, c.Connect.Spread, c.Refuse.Spread, c.Notice.Spread, c.Relaunch.Spread, c.Boot.Spread},
	}
}

// ModelFile is where a model is found and saved unless another file is named: crashlab/model.json in the user's configuration.
func ModelFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "crashlab", "model.json"), nil
}

// LoadModel returns the model in a file that [Calibration.Save] wrote. Without a path it is that of [ModelFile], or [DefaultModel] where
// there is none. A file that cannot be used is an [*inputfile.Refused] or an [*inputfile.Mistake], and one that is missing fs.ErrNotExist.
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
	var c Calibration
	if err := d.Decode(&c, nil); err != nil {
		return Model{}, err
	}
	_, parts := inputfile.Field(reflect.ValueOf(c), "")
	for _, part := range parts {
		if !d.Has(part + ".median") {
			return Model{}, d.At(nil).Errorf("no %s.median: want that of each of %s; crashlab calibrate measures them", part, strings.Join(parts, ", "))
		}
	}
	return c.Model(), nil
}

// Save writes the calibration to a file, whose folder is made where it is missing. Whoever reads it meanwhile finds the old or the new one.
func (c Calibration) Save(path string) error {
	text, err := json.MarshalIndent(c, "", "  ")
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
