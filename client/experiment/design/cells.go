package design

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// expand sets the cells of the design: each row combined with all levels of the factors.
func (d *draft) expand() error {
	rows := d.rows
	if len(rows) == 0 {
		rows = []row{{}}
	}
	if err := d.checkSize(len(rows)); err != nil {
		return err
	}
	d.design.Cells = nil
	for _, r := range rows {
		if err := d.checkRow(r); err != nil {
			return err
		}
		for _, levels := range d.combinations() {
			s := d.settings(r, levels)
			if err := d.checkCell(r, s); err != nil {
				return err
			}
			d.design.Cells = append(d.design.Cells, Cell{r.name, levels, s})
		}
	}
	return nil
}

func (d *draft) checkSize(rows int) error {
	cells := rows
	for _, g := range d.factors {
		cells = min(cells*len(g.levels), MaxTrials+1) // avoid overflow
	}
	if cells*d.design.Repeats > MaxTrials {
		return d.file.at(nil).Errorf("too many trials, %d repeats of all combinations: want at most %d", d.design.Repeats, MaxTrials)
	}
	return nil
}

func (d *draft) checkRow(r row) error {
	for _, own := range r.factors {
		if g, ok := find(d.factors, own.factor); ok && len(g.levels) > 1 {
			return own.at.Errorf("%s is in the row %q and a list in factors: want it in one of them", own.factor, r.name)
		}
	}
	return nil
}

// combinations returns the Cartesian product of the lists; the last list varies fastest.
func (d *draft) combinations() [][]Level {
	all := [][]Level{nil}
	for _, g := range d.factors {
		if len(g.levels) == 1 {
			continue
		}
		var longer [][]Level
		for _, levels := range all {
			for _, l := range g.levels {
				longer = append(longer, append(slices.Clip(levels), l))
			}
		}
		all = longer
	}
	return all
}

// settings returns the settings of the cell that has the row and the levels.
func (d *draft) settings(r row, levels []Level) Settings {
	s := Defaults()
	for _, g := range d.factors {
		s.apply(g.levels[0])
	}
	for _, l := range levels {
		s.apply(l)
	}
	for _, g := range r.factors {
		s.apply(g.levels[0])
	}
	if _, ok := d.given(r, "calls"); !ok && s.Duration > 0 {
		s.Calls = 0
	}
	return s
}

// warn adds a warning for the first cell in which replicas crash and are never relaunched, unless
// the design sets restart_delay itself.
func (d *draft) warn() {
	rows := d.rows
	if len(rows) == 0 {
		rows = []row{{}}
	}
	for _, r := range rows {
		if _, ok := d.given(r, "restart_delay"); ok {
			continue
		}
		for _, c := range d.design.Cells {
			if c.Row == r.name && c.Settings.PCrash > 0 {
				d.design.Warnings = append(d.design.Warnings, fmt.Sprintf("p_crash is %s and there is no restart_delay (%s): "+
					"crashed replicas stay down; set one, or none if that is intended", spellNumber(c.Settings.PCrash), c.Title()))
				return
			}
		}
	}
}

// given returns the value that the file or an override gives a factor in the cells of a row.
func (d *draft) given(r row, factor string) (given, bool) {
	if g, ok := find(r.factors, factor); ok {
		return g, true
	}
	return find(d.factors, factor)
}

func find(all []given, factor string) (given, bool) {
	i := slices.IndexFunc(all, func(g given) bool { return g.factor == factor })
	if i < 0 {
		return given{}, false
	}
	return all[i], true
}

// checkCell refuses combinations of values that contradict each other.
func (d *draft) checkCell(r row, s Settings) error {
	if factor, what := s.check(); factor != "" {
		g, _ := d.given(r, factor)
		return g.at.Errorf("%s", what)
	}
	if g, ok := d.given(r, "concurrency"); ok && s.Rate > 0 {
		return g.at.Errorf("concurrency %d: has no meaning beside the rate %s: want one of them", s.Concurrency, spellNumber(s.Rate))
	}
	if g, ok := d.given(r, "arrivals"); ok && s.Rate == 0 {
		return g.at.Errorf("arrivals: have no meaning in a closed loop: want a rate above 0 with them")
	}
	return nil
}

// checkAnswer refuses an answer that no claim could support.
func (d *draft) checkAnswer() error {
	if d.design.Answer != "" && len(d.design.Claims) == 0 {
		return d.answer.Errorf("answer: nothing supports it: want claims")
	}
	return nil
}

// checkClaims refuses claims that apply to no cell.
func (d *draft) checkClaims() error {
	for i, c := range d.design.Claims {
		if slices.ContainsFunc(d.design.Cells, c.Matches) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.Where)) {
			only := Claim{Where: map[string]string{name: c.Where[name]}}
			if !slices.ContainsFunc(d.design.Cells, only.Matches) {
				return d.claims[i].Errorf("no cell has the %s %q: want %s", name, c.Where[name], d.has(name))
			}
		}
		return d.claims[i].Errorf("the claim %q applies to no cell: none matches all of its where", c.Text)
	}
	return nil
}

// has lists the rows of the design, or the levels of a factor.
func (d *draft) has(name string) string {
	if name == rowKey && len(d.rows) == 0 {
		return "none, as the design has no rows"
	}
	var values []string
	for _, c := range d.design.Cells {
		value, _ := c.Settings.Value(name)
		if name == rowKey {
			value = strconv.Quote(c.Row)
		}
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return strings.Join(values, " or ")
}

// checkSchedule refuses disturbances that no trial could carry out.
func (d *draft) checkSchedule() error {
	for i, s := range d.design.Schedule {
		for _, c := range d.design.Cells {
			if c.Settings.Duration > 0 && s.At >= c.Settings.Duration {
				return d.disturbances[i].Errorf("at %s: want less than the duration of %s",
					spellDuration(s.At), spellDuration(c.Settings.Duration))
			}
			for _, name := range s.Replicas {
				if len(name) != 1 || name < "a" || name > ReplicaName(c.Settings.Replicas-1) {
					return d.disturbances[i].Errorf("replica %q: want a to %s", name, ReplicaName(c.Settings.Replicas-1))
				}
			}
		}
	}
	return nil
}

// override applies the overrides and expands the design again.
func (d *draft) override(o Overrides) error {
	if err := d.overrideNumbers(o); err != nil {
		return err
	}
	for _, l := range o.Set {
		place := Place{Name: l.Factor + "=" + l.Value}
		level, err := NewLevel(l.Factor, l.Value)
		if err != nil {
			return place.Errorf("%v", err)
		}
		other := func(g given) bool { return g.factor == l.Factor }
		d.factors = append(slices.DeleteFunc(d.factors, other), given{l.Factor, []Level{level}, false, place})
		for i := range d.rows {
			d.rows[i].factors = slices.DeleteFunc(d.rows[i].factors, other)
		}
	}
	if err := d.expand(); err != nil {
		return err
	}
	if len(o.Set) > 0 {
		d.merge()
	}
	if err := d.checkSchedule(); err != nil {
		return err
	}
	slices.SortStableFunc(d.design.Schedule, func(a, b Disturbance) int { return cmp.Compare(a.At, b.At) })
	return nil
}

func (d *draft) overrideNumbers(o Overrides) error {
	if err := o.Check(); err != nil {
		return err
	}
	d.design.Repeats = cmp.Or(o.Repeats, d.design.Repeats)
	d.design.Parallel = cmp.Or(o.Parallel, d.design.Parallel)
	if o.Seed != nil {
		d.design.Seed = *o.Seed
	}
	return nil
}

// merge removes cells that equal an earlier one, claims about cells that are gone, and the answer
// if a claim is gone. It lists what it removed in LeftOut.
func (d *draft) merge() {
	left := func(format string, args ...any) {
		d.design.LeftOut = append(d.design.LeftOut, fmt.Sprintf(format, args...))
	}
	first := make(map[Settings]Cell)
	d.design.Cells = slices.DeleteFunc(d.design.Cells, func(c Cell) bool {
		same, known := first[c.Settings]
		if known {
			left("the cell %q: it now equals %q", c.Title(), same.Title())
		} else {
			first[c.Settings] = c
		}
		return known
	})
	claims := len(d.design.Claims)
	d.design.Claims = slices.DeleteFunc(d.design.Claims, func(c Claim) bool {
		gone := !slices.ContainsFunc(d.design.Cells, c.Matches)
		if gone {
			left("the claim %q: none of its cells is left", c.Text)
		}
		return gone
	})
	if d.design.Answer != "" && len(d.design.Claims) < claims {
		left("the answer: it rests on a claim that is left out")
		d.design.Answer = ""
	}
	if len(d.design.Claims) == 0 {
		d.design.Claims = nil
	}
}
