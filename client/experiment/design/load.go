package design

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"example.com/crashlab/supervisor/inputfile"
)

const (
	// MaxTrials bounds the trials of a design, over all cells.
	MaxTrials = 10_000
	// MaxParallel bounds Design.Parallel.
	MaxParallel = 100

	maxSeed = 1<<53 - 1 // every JSON reader preserves it
)

// Overrides replace values of a file. The zero value changes nothing.
type Overrides struct {
	// Set gives factors one value in all cells, whatever the file and its rows say. Of cells that
	// become equal, the first remains. Claims without a cell are dropped, see Design.LeftOut.
	Set []Level
	// Seed replaces the file's seed unless it is nil.
	Seed *uint64
	// Repeats and Parallel replace those of the file unless they are zero.
	Repeats, Parallel int
}

// Check returns a [*Mistake] if a number is out of range. It does not check Set, nor the number of
// trials of all cells.
func (o Overrides) Check() error {
	for _, n := range []struct {
		name        string
		value, most int
	}{{"repeats", o.Repeats, MaxTrials}, {"parallel", o.Parallel, MaxParallel}} {
		if n.value < 0 || n.value > n.most {
			return Place{Name: fmt.Sprintf("%s=%d", n.name, n.value)}.Errorf("want 1 to %d", n.most)
		}
	}
	if o.Seed != nil && *o.Seed > maxSeed {
		return Place{Name: fmt.Sprintf("seed=%d", *o.Seed)}.Errorf("want 0 to %d", uint64(maxSeed))
	}
	return nil
}

// Load reads a design from a file. The file must be a valid design both without and with the
// overrides.
//
//	name: timeout                 # by default the file's name, without .yaml
//	question: How does the deadline of an attempt change the share of calls that succeed?
//	answer: The longer it is, the more calls succeed.   # shown if all claims hold
//	seed: 1                       # the default
//	repeats: 10                   # trials of each cell, 5 by default
//	parallel: 1                   # trials at a time, the default
//	factors:                      # a value, or a list of levels; lists form a Cartesian product
//	  p_crash: 0.3
//	  timeout: [100ms, 300ms, 1s]
//	rows:                         # named combinations; each is combined with all lists
//	  - {name: original, when_down: attempt}
//	  - {name: waiting, when_down: wait, deadline: 30s}
//	schedule:                     # signals to replicas: stop, cont, kill, term; to all if none is named
//	  - {at: 3s, signal: stop, replicas: [a]}
//	  - {at: 5s, signal: cont}
//	claims:                       # a metric, >= or <=, and a threshold, for the cells that match where
//	  - success >= 0.999
//	  - {claim: p99 <= 2s, where: {row: waiting, timeout: 1s}}
//
// A row may override a factor that has a single value in factors, but not one that has a list. The
// path may name a pipe. Load returns an [*inputfile.Refused] for any other kind of file and for one
// that is too large, an error of package os for a file that cannot be read, and a [*Mistake]
// otherwise.
func Load(path string, o Overrides) (*Design, error) {
	text, err := inputfile.ReadOnce(path, inputfile.MaxYAML)
	if err != nil {
		return nil, err
	}
	return read(path, text, o)
}

func read(path string, text []byte, o Overrides) (*Design, error) {
	d := &draft{file: file{path: path}}
	d.design = Design{Name: defaultName(path), Seed: 1, Repeats: 5, Parallel: 1, Source: string(text)}
	root, err := d.file.parse(text)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return d.read(root) }, d.expand, d.checkAnswer, d.checkClaims, d.checkSchedule, func() error { return d.override(o) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	d.warn()
	return &d.design, nil
}

// draft is a design that is being read.
type draft struct {
	file    file
	design  Design
	factors []given
	rows    []row

	// Places in the file, the lists in its order.
	answer       Place
	claims       []Place
	disturbances []Place
}

// given is the value, or the list of levels, that a design gives a factor.
type given struct {
	factor string
	levels []Level
	list   bool
	at     Place
}

// row is a named combination of factors. A design without rows has one row without a name.
type row struct {
	name    string
	at      Place
	factors []given
}

var (
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// name is a word that can be part of a folder's name.
var name = form[string]{parse: func(text string) (string, error) {
	if !nameForm.MatchString(text) {
		return "", fmt.Errorf("%q: want up to 64 letters, digits, - and _, the first a letter or a digit", text)
	}
	return text, nil
}}

// line is text that fits on one line; line breaks in it become spaces.
var line = form[string]{parse: func(text string) (string, error) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "", fmt.Errorf("%q: want a text", text)
	}
	return text, nil
}}

func defaultName(path string) string {
	base := filepath.Base(path)
	base = strings.Trim(notInName.ReplaceAllString(strings.TrimSuffix(base, filepath.Ext(base)), "-"), "-_")
	if base = base[:min(len(base), 64)]; base == "" {
		return "experiment"
	}
	return base
}

var seed = form[uint64]{parse: func(text string) (uint64, error) {
	n, err := whole(0, maxSeed).parse(text)
	return uint64(n), err
}}
