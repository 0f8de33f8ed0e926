package design

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"example.com/crashlab/supervisor/inputfile"
)

const (
	maxTrials   = 10_000
	maxParallel = 100
	maxSeed     = 1<<53 - 1 // every reader of JSON keeps it as it is
)

// Overrides take the place of what a file says. The zero value changes nothing.
type Overrides struct {
	// Set has factors that have one value in all cells, whatever the file and its rows say. Cells
	// that become equal are one, which has the name of the first row; claims about cells that are
	// gone are dropped: see Design.LeftOut.
	Set []Level
	// Seed is as in the file when it is nil.
	Seed *uint64
	// Repeats and Parallel are as in the file when they are zero.
	Repeats, Parallel int
}

// Load reads the design in a file. The file must be a valid design by itself, and be one with the
// overrides too.
//
//	name: timeout                 # by default the file's name, without .yaml
//	question: How does the deadline of an attempt change the share of calls that succeed?
//	seed: 1                       # the default
//	repeats: 10                   # trials of each cell, 5 by default
//	parallel: 1                   # trials at a time, the default
//	factors:                      # a value, or a list of levels; lists multiply
//	  p_crash: 0.3
//	  timeout: [100ms, 300ms, 1s]
//	rows:                         # named combinations; each is crossed with all lists
//	  - {name: original, when_down: attempt}
//	  - {name: waiting, when_down: wait, deadline: 30s}
//	schedule:                     # signals to replicas: stop, cont, kill, term; without names, to all
//	  - {at: 3s, signal: stop, replicas: [a]}
//	  - {at: 5s, signal: cont}
//	claims:                       # the hypothesis: a metric, >= or <=, a threshold
//	  - success >= 0.999
//	  - {claim: p99 <= 2s, where: {row: waiting, timeout: 1s}}
//
// A row may name a factor that has a single value in factors, and then has its own, but none that
// has a list. The file may be a pipe. One that is neither, or is too large, is an
// [*inputfile.Refused], one that cannot be read an error of package os, and any other error a
// [*Mistake].
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
		func() error { return d.read(root) }, d.expand, d.checkClaims, d.checkSchedule, func() error { return d.override(o) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	d.warn()
	return &d.design, nil
}

// draft is a design in the making.
type draft struct {
	file    file
	design  Design
	factors []given
	rows    []row

	claims       []Place // of each claim of the design
	disturbances []Place // and of each of its disturbances, in the order of the file
}

// given is what a design says of a factor: the value, or the list of its levels.
type given struct {
	factor string
	levels []Level
	list   bool
	at     Place
}

// row is a named combination. A design without rows has one without a name.
type row struct {
	name    string
	at      Place
	factors []given
}

var (
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// name is a word that can be part of the name of a folder.
var name = form[string]{parse: func(text string) (string, error) {
	if !nameForm.MatchString(text) {
		return "", fmt.Errorf("%q: want up to 64 letters, digits, - and _, the first of them no - or _", text)
	}
	return text, nil
}}

// line is a text of one line.
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
