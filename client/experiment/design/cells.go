package design

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// expand makes the cells of the design out of the factors and the rows.
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
		cells = min(cells*len(g.levels), maxTrials+1) // which does not overflow
	}
	if cells*d.design.Repeats > maxTrials {
		return d.file.at(nil).Errorf("too many trials, %d repeats of all combinations: want at most %d", d.design.Repeats, maxTrials)
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

// combinations returns one level of each list, in all ways; the last list changes the fastest.
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

// settings are those of a row's cell with the levels.
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

// warn notes cells in which crashes use up the replicas, as none is relaunched, and nothing says
// that this is meant.
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
					"replicas that crash stay down; give one, or none if that is meant", spellNumber(c.Settings.PCrash), c.Title()))
				return
			}
		}
	}
}

// given returns what the file, or an override, says of a factor in a row's cells.
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

// checkCell finds values that do not go together.
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

// checkClaims finds claims that are about no cell.
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
		return d.claims[i].Errorf("the claim %q is about no cell: none has all of what where says", c.Text)
	}
	return nil
}

// has lists what the cells have: the rows, or the levels of a factor.
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

// checkSchedule finds disturbances that would never be, and puts all into the order of time.
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

// override makes the design that it is with the overrides.
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
	for _, n := range []struct {
		name  string
		value int
		to    *int
		most  int
	}{{"repeats", o.Repeats, &d.design.Repeats, maxTrials}, {"parallel", o.Parallel, &d.design.Parallel, maxParallel}} {
		if n.value == 0 {
			continue
		}
		place := Place{Name: fmt.Sprintf("%s=%d", n.name, n.value)}
		if n.value < 1 || n.value > n.most {
			return place.Errorf("want 1 to %d", n.most)
		}
		*n.to = n.value
	}
	if o.Seed == nil {
		return nil
	}
	if *o.Seed > maxSeed {
		return Place{Name: fmt.Sprintf("seed=%d", *o.Seed)}.Errorf("want 0 to %d", uint64(maxSeed))
	}
	d.design.Seed = *o.Seed
	return nil
}

// merge keeps the first of equal cells, and the claims about cells that there are, and notes what
// it has left out.
func (d *draft) merge() {
	left := func(format string, args ...any) {
		d.design.LeftOut = append(d.design.LeftOut, fmt.Sprintf(format, args...))
	}
	first := make(map[Settings]Cell)
	d.design.Cells = slices.DeleteFunc(d.design.Cells, func(c Cell) bool {
		same, known := first[c.Settings]
		if known {
			left("the cell %q: it is the same as %q now", c.Title(), same.Title())
		} else {
			first[c.Settings] = c
		}
		return known
	})
	d.design.Claims = slices.DeleteFunc(d.design.Claims, func(c Claim) bool {
		gone := !slices.ContainsFunc(d.design.Cells, c.Matches)
		if gone {
			left("the claim %q: no cell is left that it is about", c.Text)
		}
		return gone
	})
	if len(d.design.Claims) == 0 {
		d.design.Claims = nil
	}
}
