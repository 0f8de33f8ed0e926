package main

import (
	"encoding/csv"
	"path"
	"regexp"
	"slices"
	"strings"
)

// table is a table of a results file, or of a document.
type table struct {
	columns []string
	rows    []row
}

// row is a row of a table; where it is in a document's text matters only there.
type row struct {
	cells []span
}

var (
	tableRule = regexp.MustCompile(`^\s*\|?[\s:|-]*-[\s:|-]*\|?\s*$`)
	footnote  = regexp.MustCompile(`[¹²³⁴⁵⁶⁷⁸⁹⁰]+(?:,[¹²³⁴⁵⁶⁷⁸⁹⁰]+)*`)
	comment   = regexp.MustCompile(`(?s)<!--.*?-->`)
)

// readTables returns the tables of a results file.
func readTables(name, text string) ([]table, error) {
	if path.Ext(name) != ".csv" {
		return tablesOf(text, 0), nil
	}
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(records) == 0 {
		return nil, err
	}
	t := table{columns: records[0]}
	for _, record := range records[1:] {
		var r row
		for _, cell := range record {
			r.cells = append(r.cells, span{text: strings.TrimSpace(cell)})
		}
		t.rows = append(t.rows, r)
	}
	return []table{t}, nil
}

// tablesOf returns the tables of a text of Markdown that begins at an offset of a document.
func tablesOf(text string, offset int) (tables []table) {
	lines := strings.SplitAfter(text, "\n")
	inTable := false
	for i, line := range lines {
		isRow := strings.HasPrefix(strings.TrimSpace(line), "|")
		switch {
		case !isRow:
			inTable = false
		case inTable && tableRule.MatchString(line):
		case inTable:
			t := &tables[len(tables)-1]
			t.rows = append(t.rows, row{cellsOf(line, offset)})
		case i+1 < len(lines) && tableRule.MatchString(strings.TrimSuffix(lines[i+1], "\n")):
			inTable = true
			var t table
			for _, cell := range cellsOf(line, offset) {
				t.columns = append(t.columns, cell.text)
			}
			tables = append(tables, t)
		}
		offset += len(line)
	}
	return tables
}

// cellsOf returns the cells of a line. Their texts are without footnotes and markup.
func cellsOf(line string, offset int) (cells []span) {
	start := strings.Index(line, "|") + 1
	for i := start; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if line[i] != '|' {
			continue
		}
		raw := line[start:i]
		begin := start + len(raw) - len(strings.TrimLeft(raw, " "))
		end := max(begin, start+len(strings.TrimRight(raw, " ")))
		cells = append(cells, span{offset + begin, offset + end, plain(raw)})
		start = i + 1
	}
	return cells
}

// plain returns the text of a cell.
func plain(cell string) string {
	cell = comment.ReplaceAllString(cell, "")
	cell = footnote.ReplaceAllString(cell, "")
	return strings.TrimSpace(strings.Trim(strings.TrimSpace(cell), "`*"))
}

// column returns the number of a column; -1 if there is none of that name.
func (t table) column(name string) int { return slices.Index(t.columns, name) }

// fits reports whether a row has all of these cells, each VALUE or COLUMN=VALUE.
func (t table) fits(r row, cells []string) bool {
	for _, cell := range cells {
		name, value, named := strings.Cut(cell, "=")
		i := t.column(strings.TrimSpace(name))
		if named && i >= 0 {
			if i >= len(r.cells) || r.cells[i].text != strings.TrimSpace(value) {
				return false
			}
		} else if !slices.ContainsFunc(r.cells, func(c span) bool { return c.text == cell }) {
			return false
		}
	}
	return true
}
