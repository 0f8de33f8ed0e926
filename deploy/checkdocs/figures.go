package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// resultsFolder holds the results of experiments. A comment may name a file in it without the
// folder and without .md.
const resultsFolder = "deploy/experiments/results/"

var fromComment = regexp.MustCompile(`^from: (\S+)(?: match="([^"]+)"| cols="([^"]+)")?$`)

// checkFigures compares the figures of a document with the files that they come from.
func (c *checker) checkFigures(d *document) {
	for _, comment := range d.comments {
		if !strings.HasPrefix(comment.text, "from:") {
			continue
		}
		m := fromComment.FindStringSubmatch(comment.text)
		if m == nil {
			c.find(d, d.line(comment.start), `cannot read %q: want from: FILE match="REGEXP", from: FILE cols="NAME; NAME" or from: FILE`, comment.text)
			continue
		}
		name := m[1]
		if !strings.Contains(name, "/") {
			name = resultsFolder + name + ".md"
		}
		file, err := c.tree.read(name)
		switch {
		case err != nil || !c.tree.has(name):
			err = fmt.Errorf("from: the repository has no %s", name)
		case m[2] != "" && strings.HasSuffix(d.text[:comment.start], "\n"):
			err = fmt.Errorf("from: a comment at the start of a line ends the paragraph: want a word before it")
		case m[2] != "":
			err = c.checkFigure(d.text[comment.end:], name, file, m[2])
		default:
			err = c.checkTable(d, comment.end, name, file, m[3])
		}
		if err != nil {
			c.find(d, d.line(comment.start), "%v", err)
		}
	}
}

// checkFigure checks that rest begins with what the parentheses of a pattern match in a file.
func (c *checker) checkFigure(rest, name, file, pattern string) error {
	c.counts.figures++
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("from: %v", err)
	}
	m := re.FindAllStringSubmatch(file, -1)
	if len(m) != 1 || len(m[0]) != 2 {
		return fmt.Errorf("from: match %q fits %s %d times: want once, with the figure in parentheses", pattern, name, len(m))
	}
	figure := m[0][1]
	if ok, err := regexp.MatchString("^"+regexp.QuoteMeta(figure)+`(?:[^\w.,%]|[.,]?(?:\s|$))`, rest); err != nil || !ok {
		return fmt.Errorf("from: %s has %s: want this directly behind the comment", name, figure)
	}
	return nil
}

// checkTable compares the cells of the table at an offset of a document with those of a file. The
// names of the file's columns are in cols, or are those of the document's table.
func (c *checker) checkTable(d *document, offset int, name, file, cols string) error {
	rest := strings.TrimLeft(d.text[offset:], " \n")
	tables := tablesOf(rest, len(d.text)-len(rest))
	if !strings.HasPrefix(rest, "|") || len(tables) == 0 {
		return fmt.Errorf("from: want a table on the next line, or match and the figure behind the comment")
	}
	shown := tables[0]
	names := shown.columns
	if cols != "" {
		names = strings.Split(cols, ";")
	}
	for _, source := range tablesOf(file, 0) {
		columns := make([]int, len(names)) // of source; -1: not compared
		missing := false
		for i, name := range names {
			name = strings.TrimSpace(name)
			columns[i] = slices.Index(source.columns, name)
			missing = missing || columns[i] < 0 && name != "-"
		}
		if missing {
			continue
		}
		for _, row := range shown.rows {
			c.checkRow(d, row, source, columns, name)
		}
		return nil
	}
	return fmt.Errorf("from: %s has no table with the columns %s", name, strings.Join(names, ", "))
}

// checkRow compares a row with the only one of source whose cell in the first column is the same.
func (c *checker) checkRow(d *document, row []span, source table, columns []int, name string) {
	var matching [][]span
	for _, r := range source.rows {
		if columns[0] >= 0 && r[columns[0]].text == row[0].text {
			matching = append(matching, r)
		}
	}
	if len(matching) != 1 {
		c.find(d, d.line(row[0].start), "%s has %d rows that begin with %s: want one", name, len(matching), row[0].text)
		return
	}
	for i, cell := range row[1:] {
		if i+1 >= len(columns) || columns[i+1] < 0 {
			continue
		}
		c.counts.figures++
		column := columns[i+1]
		if want := matching[0][column].text; cell.text != want {
			c.findChange(d, d.line(cell.start), change{cell.start, cell.end, want}, "%s has %s for %s, the document %s", name, want, source.columns[column], cell.text)
		}
	}
}
