package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigures(t *testing.T) {
	const from = "<!-- from: timeout "
	for _, tc := range []struct {
		name, text string
		want       string // a part of the only finding; none: none
		updated    string // by -update; none: the text as it is
	}{
		{name: "figure", text: from + `match="(\d+ of \d+) agree" -->30 of 31 cells`},
		{name: "figure at the end of a sentence", text: from + `match="(\d+) of \d+ agree" -->30.`},
		{name: "another figure", text: from + `match="(\d+ of \d+) agree" -->30 of 30 cells`, want: "has 30 of 31: want this"},
		{name: "a longer figure", text: from + `match="(\d+) of \d+ agree" -->300`, want: "has 30: want this"},
		{name: "a figure with decimals", text: from + `match="(\d+) of \d+ agree" -->30.5`, want: "has 30: want this"},
		{name: "match of nothing", text: from + `match="(\d+) fail" -->3`, want: "fits " + resultsFolder + "timeout.md 0 times"},
		{name: "match without parentheses", text: from + `match="30 of" -->30`, want: "want once, with the figure in parentheses"},
		{name: "at the start of a line", text: "are\n" + from + `match="(\d+) of \d+ agree" -->30.`, want: "ends the paragraph"},
		{name: "no file", text: `<!-- from: none match="(a)" -->1`, want: "from: the repository has no " + resultsFolder + "none.md"},
		{name: "unknown attribute", text: from + `cell="p99" -->1`, want: `cannot read "from: timeout cell=`},
		{name: "no table", text: from + "-->\ntext", want: "want a table on the next line"},
		{name: "table", text: from + "-->\n| timeout | p99 |\n|---|---:|\n| `50ms` | 162 ms [144, 220] |\n"},
		{name: "table, renamed", text: from + "cols=\"timeout; -; success\" -->\n| d | why | calls |\n|---|---|---|\n| 50ms | cut off | 70.6% [67.6, 73.0] |\n"},
		{name: "table, another figure", text: from + "-->\n| timeout | p99 |\n|---|---|\n| 50ms | 163 ms |\n",
			want:    "4: " + resultsFolder + "timeout.md has 162 ms [144, 220] for p99, the document 163 ms; -update",
			updated: from + "-->\n| timeout | p99 |\n|---|---|\n| 50ms | 162 ms [144, 220] |\n"},
		{name: "table, no column", text: from + "-->\n| timeout | calls |\n|---|---|\n| 50ms | 70% |\n", want: "has no table with the columns timeout, calls"},
		{name: "table, no row", text: from + "-->\n| timeout | p99 |\n|---|---|\n| 3s | 70% |\n", want: "has 0 rows that begin with 3s"},
		{name: "table, two rows", text: from + "-->\n| timeout | p99 |\n|---|---|\n| 400ms | – |\n", want: "has 2 rows that begin with 400ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := repository(t, map[string]string{"doc.md": tc.text})
			lines := check(t, dir, options{})
			switch {
			case tc.want == "" && len(lines) > 1, tc.want != "" && (len(lines) != 2 || !strings.Contains(lines[0], tc.want)):
				t.Errorf("found\n%s\nwant %q", strings.Join(lines, "\n"), tc.want)
			}
			if tc.updated == "" {
				return
			}
			if lines := check(t, dir, options{update: true}); len(lines) != 1 || !strings.Contains(lines[0], "updated: 1") {
				t.Errorf("with -update, printed\n%s", strings.Join(lines, "\n"))
			}
			text, err := os.ReadFile(filepath.Join(dir, "doc.md"))
			if err != nil || string(text) != tc.updated {
				t.Errorf("with -update, %v\n%s\nwant\n%s", err, text, tc.updated)
			}
		})
	}
}
