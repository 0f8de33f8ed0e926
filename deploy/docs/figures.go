package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// resultsFolder is where the results of experiments are, so that their names suffice.
const resultsFolder = "deploy/experiments/results/"

// source is what a comment says that begins with "from:".
type source struct {
	file  string
	cells []string // of the row
	col   string
	cols  []string // of a table
	match string
}

var attribute = regexp.MustCompile(`\s+(\w+)="([^"]*)"`)

// parseSource reads the comment behind "from:".
func parseSource(text string) (s source, err error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = " " + rest
	for _, m := range attribute.FindAllStringSubmatch(rest, -1) {
		switch m[1] {
		case "row":
			s.cells = list(m[2])
		case "col":
			s.col = m[2]
		case "cols":
			s.cols = list(m[2])
		case "match":
			s.match = m[2]
		default:
			return s, fmt.Errorf("from: %s has no meaning: want row, col, cols or match", m[1])
		}
	}
	if left := strings.TrimSpace(attribute.ReplaceAllString(rest, "")); left != "" {
		return s, fmt.Errorf(`from: cannot read %q: want FILE row="..." col="..."`, left)
	}
	if (s.cells == nil) != (s.col == "") {
		return s, fmt.Errorf("from: want both row and col for a figure, or neither for a table")
	}
	s.file = name
	if !strings.Contains(name, "/") {
		s.file = resultsFolder + strings.TrimSuffix(name, ".md") + ".md"
	}
	return s, nil
}

// list splits a list at its semicolons.
func list(text string) (items []string) {
	for _, item := range strings.Split(text, ";") {
		items = append(items, strings.TrimSpace(item))
	}
	return items
}

// checkFigures compares the figures of a document with the files that they come from.
func (c *checker) checkFigures(d *document) {
	for _, comment := range d.comments {
		text, ok := strings.CutPrefix(comment.text, "from:")
		if !ok {
			continue
		}
		line := d.line(comment.start)
		s, err := parseSource(text)
		if err != nil {
			c.find(d, line, "%v", err)
			continue
		}
		file, err := c.tree.read(s.file)
		if err != nil || !c.tree.has(s.file) {
			c.find(d, line, "from: the repository has no %s", s.file)
			continue
		}
		if s.col == "" && s.match == "" {
			c.checkTable(d, comment, s, file)
		} else {
			c.checkFigure(d, comment, s, file)
		}
	}
}

// checkFigure compares the figure behind a comment.
func (c *checker) checkFigure(d *document, comment span, s source, file string) {
	c.counts.figures++
	line := d.line(comment.start)
	want, err := s.figure(file)
	if err != nil {
		c.find(d, line, "from: %v", err)
		return
	}
	rest := d.text[comment.end:]
	have, isFigure := figureAt(rest)
	wanted, isToo := wholeFigure(want)
	switch {
	case !isToo && strings.HasPrefix(rest, want), isFigure && isToo && have.rounds(wanted):
		return
	case !isFigure || !isToo:
		c.find(d, line, "from: %s has %s: want this at once behind the comment", s.file, want)
		return
	case have.interval == nil:
		want = wanted.plain
	}
	ch := change{comment.end, comment.end + len(have.text), want}
	c.findChange(d, line, ch, "%s has %s, the document %s", s.file, want, have.text)
}

// figure returns the figure of a file.
func (s source) figure(file string) (string, error) {
	if s.match != "" {
		re, err := regexp.Compile(s.match)
		if err != nil {
			return "", err
		}
		m := re.FindAllStringSubmatch(file, -1)
		if len(m) != 1 || len(m[0]) != 2 {
			return "", fmt.Errorf("match %q fits %s %d times: want once, with the figure in parentheses", s.match, s.file, len(m))
		}
		return m[0][1], nil
	}
	tables, err := readTables(s.file, file)
	if err != nil {
		return "", fmt.Errorf("%s: %v", s.file, err)
	}
	var found []string
	var columns []string
	for _, t := range tables {
		columns = append(columns, t.columns...)
		i := t.column(s.col)
		if i < 0 {
			continue
		}
		for _, r := range t.rows {
			if t.fits(r, s.cells) && i < len(r.cells) {
				found = append(found, r.cells[i].text)
			}
		}
	}
	switch {
	case !slices.Contains(columns, s.col):
		return "", fmt.Errorf("%s has no column %s: it has %s", s.file, s.col, strings.Join(columns, ", "))
	case len(found) == 0:
		return "", fmt.Errorf("%s has no row with %s", s.file, strings.Join(s.cells, "; "))
	case len(found) > 1:
		return "", fmt.Errorf("%s has %d rows with %s: add another cell, VALUE or COLUMN=VALUE", s.file, len(found), strings.Join(s.cells, "; "))
	}
	return found[0], nil
}

// checkTable compares each cell of the table that follows a comment.
func (c *checker) checkTable(d *document, comment span, s source, file string) {
	line := d.line(comment.start)
	rest := strings.TrimLeft(d.text[comment.end:], " \n")
	ours := tablesOf(rest, len(d.text)-len(rest))
	if !strings.HasPrefix(rest, "|") || len(ours) == 0 {
		c.find(d, line, "from: want a table on the next line, or row and col for the figure behind the comment")
		return
	}
	theirs, err := readTables(s.file, file)
	if err != nil {
		c.find(d, line, "from: %s: %v", s.file, err)
		return
	}
	names := s.cols
	if names == nil {
		names = ours[0].columns
	}
	for _, t := range theirs {
		columns, err := matchColumns(t, names)
		if err != nil {
			if len(theirs) == 1 {
				c.find(d, line, "from: %s: %v", s.file, err)
				return
			}
			continue
		}
		for _, r := range ours[0].rows {
			c.checkRow(d, r, t, columns, s.file)
		}
		return
	}
	c.find(d, line, "from: %s has no table with the columns %s", s.file, strings.Join(names, ", "))
}

// matchColumns returns where a table has the columns of these names; -1 for "-".
func matchColumns(t table, names []string) (columns []int, err error) {
	for _, name := range names {
		i := t.column(name)
		if i < 0 && name != "-" {
			return nil, fmt.Errorf("no column %s among %s; cols names those that a table calls otherwise", name, strings.Join(t.columns, ", "))
		}
		columns = append(columns, i)
	}
	return columns, nil
}

// checkRow compares a row with the one of t that has the same first cells.
func (c *checker) checkRow(d *document, r row, t table, columns []int, file string) {
	candidates := t.rows
	line := d.line(r.cells[0].start)
	for n, cell := range r.cells {
		if n >= len(columns) || columns[n] < 0 {
			continue
		}
		at := columns[n]
		if len(candidates) > 1 {
			fitting := slices.DeleteFunc(slices.Clone(candidates), func(other row) bool { return at >= len(other.cells) || other.cells[at].text != cell.text })
			if len(fitting) == 0 {
				c.find(d, line, "%s has no row with %s in its column %s", file, cell.text, t.columns[at])
				return
			}
			candidates = fitting
			continue
		}
		c.counts.figures++
		want := candidates[0].cells[at].text
		have, isFigure := wholeFigure(cell.text)
		wanted, isToo := wholeFigure(want)
		if cell.text == want || isFigure && isToo && have.rounds(wanted) {
			continue
		}
		if isFigure && isToo && have.interval == nil {
			want = wanted.plain
		}
		c.findChange(d, line, change{cell.start, cell.end, want}, "%s has %s for %s, the document %s", file, want, t.columns[at], cell.text)
	}
	if len(candidates) != 1 {
		c.find(d, line, "%s has %d rows with the cells of this one: want a column more that tells them apart", file, len(candidates))
	}
}
