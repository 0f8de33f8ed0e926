// Package design says what an experiment is: which clusters, under which policies and loads, and
// how often each.
//
// A design is a file of YAML, see [Load]. Its factors span cells; each cell is tried a number of
// times; the trials of all cells come in an order drawn from the seed, so that what changes on the
// machine meanwhile falls on all cells alike.
package design

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strings"
)

// Design is an experiment. As JSON it has all that Load made of the file.
type Design struct {
	// Name is a short name for files and titles, such as "timeout".
	Name string `json:"name"`
	// Question is what the experiment is to show, in a sentence. May be empty.
	Question string `json:"question,omitempty"`
	// Seed decides the order of the trials and the luck of each. Below 2^53.
	Seed uint64 `json:"seed"`
	// Repeats is how many trials each cell has. From 1.
	Repeats int `json:"repeats"`
	// Parallel is how many trials run at a time, each on a cluster of its own. From 1.
	Parallel int `json:"parallel"`
	// Cells are the combinations of levels, in the order of the file: of two, the first row comes
	// first, and of one row the first level of the factor that the file names first.
	Cells []Cell `json:"cells"`
	// Claims are what the experiment is to hold. May be empty.
	Claims []Claim `json:"claims,omitempty"`
	// Schedule is what is done to the replicas of each trial, in order of time. May be empty.
	Schedule []Disturbance `json:"schedule,omitempty"`
	// LeftOut says which cells and claims of the file overrides have left nothing of, a line each.
	// Mostly empty.
	LeftOut []string `json:"left_out,omitempty"`
	// Warnings are about what is allowed and hardly meant, a line each. Mostly empty.
	Warnings []string `json:"-"`
	// Source is the file as it was read.
	Source string `json:"source"`
}

// Cell is one combination of the levels of all factors.
type Cell struct {
	// Row is the name of the row that the cell comes from; empty in a design without rows.
	Row string `json:"row,omitempty"`
	// Levels are the factors that differ between the cells of the design, the row's own left out,
	// in the order of the file. Empty in a design with one cell.
	Levels []Level `json:"levels,omitempty"`
	// Settings are all factors of the cell.
	Settings Settings `json:"settings"`
}

// Level is the value of one factor, spelt as in a file. Make it with [NewLevel].
type Level struct {
	Factor string `json:"factor"`
	Value  string `json:"value"`
}

// Trial is one run of one cell, on a fresh cluster.
type Trial struct {
	// Number is its place in the order in which the trials run, from 1.
	Number int
	// Cell is its cell's index in Design.Cells.
	Cell int
	// Repeat is which trial of its cell it is, from 1.
	Repeat int
	// Seed is that of its replicas and its load. It depends on the design's seed and the repeat
	// alone, so the k-th repeat of every cell meets the same plan of crashes, and cells differ by
	// what they are, less by their luck. Not zero, and below 2^53.
	Seed uint64
}

// Trials returns the trials of all cells, in the order in which they are to run: the first repeat
// of every cell, then the second of every cell, each time in another order drawn from the seed. A
// run that is interrupted has then tried all cells about equally often.
func (d *Design) Trials() []Trial {
	trials := make([]Trial, 0, len(d.Cells)*d.Repeats)
	rnd := rand.New(rand.NewPCG(d.Seed, 0))
	for repeat := 1; repeat <= d.Repeats; repeat++ {
		for _, cell := range rnd.Perm(len(d.Cells)) {
			trials = append(trials, Trial{len(trials) + 1, cell, repeat, trialSeed(d.Seed, repeat)})
		}
	}
	return trials
}

// trialSeed is not zero, which the replicas would take for none, and has 53 bits, which every
// reader of JSON keeps.
func trialSeed(seed uint64, repeat int) uint64 {
	key := binary.BigEndian.AppendUint64(nil, seed)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(key, uint64(repeat)))
	return max(binary.BigEndian.Uint64(sum[:8])>>11, 1)
}

// Title names the cell by its row and its levels, such as "waiting, concurrency 5"; "all trials"
// when there is one cell.
func (c Cell) Title() string {
	var parts []string
	if c.Row != "" {
		parts = append(parts, c.Row)
	}
	for _, l := range c.Levels {
		parts = append(parts, l.Factor+" "+l.Value)
	}
	if len(parts) == 0 {
		return "all trials"
	}
	return strings.Join(parts, ", ")
}
