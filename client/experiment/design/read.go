package design

import (
	"slices"
	"syscall"

	"github.com/goccy/go-yaml/ast"
)

func (d *draft) read(root ast.Node) error {
	to, f := &d.design, &d.file
	return f.object(root,
		scalar(f, "name", &to.Name, name),
		scalar(f, "question", &to.Question, line),
		key{"answer", d.readAnswer},
		scalar(f, "seed", &to.Seed, seed),
		scalar(f, "repeats", &to.Repeats, whole(1, MaxTrials)),
		scalar(f, "parallel", &to.Parallel, whole(1, MaxParallel)),
		key{"factors", d.readFactors},
		key{"rows", d.readRows},
		key{"schedule", d.readSchedule},
		key{"claims", d.readClaims},
	)
}

func (d *draft) readAnswer(n ast.Node) error {
	d.answer = d.file.node(n)
	return scalar(&d.file, "answer", &d.design.Answer, line).read(n)
}

func (d *draft) readFactors(n ast.Node) error {
	entries, err := d.file.entries(n)
	if err != nil {
		return err
	}
	for _, e := range entries {
		g, err := d.readFactor(e)
		if err != nil {
			return err
		}
		d.factors = append(d.factors, g)
	}
	return nil
}

func (d *draft) readFactor(e entry) (given, error) {
	g := given{factor: e.key, at: e.at, list: e.value.Type() == ast.SequenceType}
	if _, err := findFactor(e.key); err != nil {
		return g, e.at.Errorf("%v", err)
	}
	items, err := d.file.list(e.value)
	if err != nil {
		return g, err
	}
	for _, item := range items {
		l, err := d.readLevel(e.key, item)
		if err != nil {
			return g, err
		}
		if slices.Contains(g.levels, l) {
			return g, d.file.node(item).Errorf("%s %s is in the list twice", l.Factor, l.Value)
		}
		g.levels = append(g.levels, l)
	}
	return g, nil
}

func (d *draft) readLevel(factor string, n ast.Node) (Level, error) {
	text, err := d.file.text(n)
	if err != nil {
		return Level{}, err
	}
	l, err := NewLevel(factor, text)
	if err != nil {
		return l, d.file.node(n).Errorf("%v", err)
	}
	return l, nil
}

func (d *draft) readRows(n ast.Node) error {
	items, err := d.file.list(n)
	if err != nil {
		return err
	}
	for _, item := range items {
		r, err := d.readRow(item)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(d.rows, func(other row) bool { return other.name == r.name }) {
			return r.at.Errorf("row %q: a row above has this name: want one of its own", r.name)
		}
		d.rows = append(d.rows, r)
	}
	return nil
}

func (d *draft) readRow(n ast.Node) (row, error) {
	r := row{at: d.file.node(n)}
	entries, err := d.file.entries(n)
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		if e.key == "name" {
			r.at = d.file.node(e.value)
			if err := scalar(&d.file, "name", &r.name, line).read(e.value); err != nil {
				return r, err
			}
			continue
		}
		g, err := d.readFactor(e)
		switch {
		case err != nil:
			return r, err
		case g.list:
			return r, e.at.Errorf("%s has a list: want a single value in a row, or the list in factors", e.key)
		}
		r.factors = append(r.factors, g)
	}
	if r.name == "" {
		return r, r.at.Errorf("a row without a name: want name: TEXT")
	}
	return r, nil
}

func (d *draft) readSchedule(n ast.Node) error {
	items, err := d.file.list(n)
	if err != nil {
		return err
	}
	for _, item := range items {
		s := Disturbance{At: -1}
		err := d.file.object(item,
			scalar(&d.file, "at", &s.At, duration),
			scalar(&d.file, "signal", &s.Signal, form[syscall.Signal]{parse: parseSignal}),
			key{"replicas", func(n ast.Node) error { return d.readNames(n, &s.Replicas) }},
		)
		at := d.file.node(item)
		switch {
		case err != nil:
			return err
		case s.At < 0 || s.Signal == 0:
			return at.Errorf("a disturbance without a time or a signal: want {at: DURATION, signal: stop}")
		}
		d.design.Schedule = append(d.design.Schedule, s)
		d.disturbances = append(d.disturbances, at)
	}
	return nil
}

func (d *draft) readNames(n ast.Node, names *[]string) error {
	items, err := d.file.list(n)
	if err != nil {
		return err
	}
	for _, item := range items {
		name, err := d.file.text(item)
		if err != nil {
			return err
		}
		*names = append(*names, name)
	}
	return nil
}

// readClaims reads claims, each a text or a mapping with claim and where.
func (d *draft) readClaims(n ast.Node) error {
	items, err := d.file.list(n)
	if err != nil {
		return err
	}
	for _, item := range items {
		var c Claim
		where := make(map[string]string)
		claim := scalar(&d.file, "claim", &c, form[Claim]{parse: parseClaim})
		if item.Type() == ast.MappingType {
			err = d.file.object(item, claim, key{"where", func(n ast.Node) error { return d.readWhere(n, where) }})
		} else {
			err = claim.read(item)
		}
		at := d.file.node(item)
		switch {
		case err != nil:
			return err
		case c.Text == "":
			return at.Errorf("no claim: want claim: METRIC >= THRESHOLD")
		case len(where) > 0:
			c.Where = where
		}
		d.design.Claims = append(d.design.Claims, c)
		d.claims = append(d.claims, at)
	}
	return nil
}

func (d *draft) readWhere(n ast.Node, where map[string]string) error {
	entries, err := d.file.entries(n)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.key == rowKey {
			var name string
			if err := scalar(&d.file, rowKey, &name, line).read(e.value); err != nil {
				return err
			}
			where[rowKey] = name
			continue
		}
		if _, err := findFactor(e.key); err != nil {
			return e.at.Errorf("%v, row", err)
		}
		l, err := d.readLevel(e.key, e.value)
		if err != nil {
			return err
		}
		where[e.key] = l.Value
	}
	return nil
}
