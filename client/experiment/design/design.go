// Package design reads the designs of experiments: which clusters, policies and loads to try, and
// how often to try each.
//
// A design is a YAML file, see [Load]. Each combination of its factors is a cell, and each cell has
// the same number of trials. The seed shuffles the trials, so that a change on the machine affects
// all cells alike.
package design

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strings"
)

// Design is an experiment. Its JSON holds everything that Load read and derived from the file.
type Design struct {
	// Name is a short name for files and titles, such as "timeout".
	Name string `json:"name"`
	// Question is what the experiment is about, in one sentence. May be empty.
	Question string `json:"question,omitempty"`
	// Answer is what the trials are expected to say to the question, in one sentence. It stands if
	// all claims hold. Empty if the design states none, or if overrides removed one of its claims.
	Answer string `json:"answer,omitempty"`
	// Seed decides the order of the trials and the random draws of each. Below 2^53.
	Seed uint64 `json:"seed"`
	// Repeats is how many trials each cell has. From 1.
	Repeats int `json:"repeats"`
	// Parallel is how many trials run at a time, each on a cluster of its own. From 1.
	Parallel int `json:"parallel"`
	// Cells are the combinations of rows and levels, in the order of the file. Rows vary slowest,
	// and the last list of levels fastest.
	Cells []Cell `json:"cells"`
	// Claims are what the trials are expected to show. May be empty.
	Claims []Claim `json:"claims,omitempty"`
	// Schedule lists the disturbances of each trial, in order of time. May be empty.
	Schedule []Disturbance `json:"schedule,omitempty"`
	// LeftOut names the cells, claims and answer that overrides removed, one line each. Usually
	// empty.
	LeftOut []string `json:"left_out,omitempty"`
	// Warnings point out what is allowed but probably not intended, one line each. Usually empty.
	Warnings []string `json:"-"`
	// Source is the file as it was read.
	Source string `json:"source"`
}

// Cell is one combination of the levels of all factors.
type Cell struct {
	// Row is the name of the cell's row; empty in a design without rows.
	Row string `json:"row,omitempty"`
	// Levels are the cell's values of the factors that have lists, in the order of the file. Empty
	// in a design without lists.
	Levels []Level `json:"levels,omitempty"`
	// Settings are all factors of the cell.
	Settings Settings `json:"settings"`
}

// Level is a value of one factor, spelled as in a file. Create it with [NewLevel].
type Level struct {
	Factor string `json:"factor"`
	Value  string `json:"value"`
}

// Trial is one run of one cell, on a fresh cluster.
type Trial struct {
	// Number is the trial's position in the order in which trials run, from 1.
	Number int
	// Cell is the index of its cell in Design.Cells.
	Cell int
	// Repeat counts the trials of its cell, from 1.
	Repeat int
	// Seed seeds its replicas and its load. It depends only on the design's seed and on Repeat, so
	// the k-th trial of every cell meets the same plan of crashes, and less of the difference
	// between cells is chance. Not zero, and below 2^53.
	Seed uint64
}

// Trials returns the trials of all cells in the order in which they run: the first repeat of every
// cell, then the second, and so on, each repeat in another random order. So an interrupted run
// has tried all cells about equally often.
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

// trialSeed returns a seed that is not zero, which a replica would take for none, and that fits in
// 53 bits, which every JSON reader preserves.
func trialSeed(seed uint64, repeat int) uint64 {
	key := binary.BigEndian.AppendUint64(nil, seed)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(key, uint64(repeat)))
	return max(binary.BigEndian.Uint64(sum[:8])>>11, 1)
}

// Title names the cell by its row and its levels, such as "waiting, concurrency 5". A cell that has
// neither is "all trials".
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
