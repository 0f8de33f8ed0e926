package main

import (
	"regexp"
	"strings"
)

// table is a table of a document or a results file.
type table struct {
	columns []string
	rows    [][]span
}

var (
	tableRule = regexp.MustCompile(`^\s*\|?[\s:|-]*-[\s:|-]*\|?\s*$`)
	footnote  = regexp.MustCompile(`[¹²³⁴⁵⁶⁷⁸⁹⁰]+(?:,[¹²³⁴⁵⁶⁷⁸⁹⁰]+)*`)
	comment   = regexp.MustCompile(`(?s)<!--.*?-->`)
)

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
			t.rows = append(t.rows, cellsOf(line, offset))
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

// cellsOf returns the cells of a line, without footnote marks and markup.
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
