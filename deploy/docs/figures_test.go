package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigures(t *testing.T) {
	const from, row = "<!-- from: timeout ", `<!-- from: timeout row="400ms; crashes=1" `
	for _, tc := range []struct {
		name, text string
		want       string // a part of the only finding; none: none
		updated    string // by -update; none: the text as it is
	}{
		{name: "equal", text: row + `col="p99" -->626 ms [605, 655], and more`},
		{name: "rounded, in another unit", text: row + `col="p99" -->0.6 s [0.6 s, 0.66 s].`},
		{name: "without its interval", text: "**" + row + `col="p99" -->626 ms**`},
		{name: "rounded down", text: row + `col="p99" -->0.62 s`, want: "1: " + resultsFolder + "timeout.md has 626 ms, the document 0.62 s; -update",
			updated: row + `col="p99" -->626 ms`},
		{name: "another interval", text: row + `col="p99" -->626 ms [605, 656]`, want: "has 626 ms [605, 655], the document 626 ms [605, 656]",
			updated: row + `col="p99" -->626 ms [605, 655]`},
		{name: "another unit", text: row + `col="success" -->100 ms`, want: "has 100%, the document 100 ms", updated: row + `col="success" -->100%`},
		{name: "a prefix", text: row + `col="success" -->1000%`, want: "has 100%, the document 1000%", updated: row + `col="success" -->100%`},
		{name: "rounded up", text: from + `row="400ms; 2" col="success" -->99.99%`},
		{name: "rounded too far", text: from + `row="400ms; 2" col="success" -->99.98%`, want: "has 99.9907%, the document 99.98%",
			updated: from + `row="400ms; 2" col="success" -->99.9907%`},
		{name: "an interval that the file has not", text: from + `row="400ms; 2" col="success" -->99.99% [99, 100]`,
			want: "has 99.9907%, the document 99.99% [99, 100]", updated: from + `row="400ms; 2" col="success" -->99.9907%`},
		{name: "no number in the file", text: from + `row="400ms; 2" col="p99" -->–`},
		{name: "number for none", text: from + `row="400ms; 2" col="p99" -->12 ms`, want: "has –: want this at once behind the comment"},
		{name: "no figure", text: row + `col="p99" --> 626 ms`, want: "has 626 ms [605, 655]: want this at once behind the comment"},
		{name: "match", text: from + `match="(\d+ of \d+) agree" -->30 of 31 cells`},
		{name: "match, another", text: from + `match="(\d+ of \d+) agree" -->30 of 30 cells`, want: "has 30 of 31: want this"},
		{name: "match of nothing", text: from + `match="(\d+) fail" -->3`, want: "fits " + resultsFolder + "timeout.md 0 times"},
		{name: "no file", text: `<!-- from: none row="a" col="b" -->1`, want: "from: the repository has no " + resultsFolder + "none.md"},
		{name: "no column", text: row + `col="p98" -->1`, want: "has no column p98: it has timeout, crashes, success, p99"},
		{name: "no row", text: from + `row="3s" col="p99" -->1`, want: "has no row with 3s"},
		{name: "two rows", text: from + `row="400ms" col="p99" -->1`, want: "has 2 rows with 400ms: add another cell"},
		{name: "no row given", text: from + `col="p99" -->1`, want: "want both row and col"},
		{name: "unknown attribute", text: from + `cell="p99" -->1`, want: "cell has no meaning: want row, col, cols or match"},
		{name: "not read", text: from + `row=50ms -->1`, want: `cannot read "row=50ms"`},
		{name: "no table", text: from + "-->\ntext", want: "want a table on the next line"},
		{name: "table", text: from + "-->\n| timeout | p99 |\n|---|---:|\n| 50ms | 0.16 s |\n"},
		{name: "table, two cells name the row", text: from + "-->\n| timeout | crashes | success |\n|---|---|---|\n| `400ms` | 1 | 100% |\n"},
		{name: "table, renamed", text: from + "cols=\"timeout; -; success\" -->\n| d | why | calls |\n|---|---|---|\n| 50ms | cut off | 71% |\n"},
		{name: "table, another", text: from + "-->\n| timeout | p99 |\n|---|---|\n| 50ms | 163 ms |\n",
			want: "4: " + resultsFolder + "timeout.md has 162 ms for p99, the document 163 ms", updated: from + "-->\n| timeout | p99 |\n|---|---|\n| 50ms | 162 ms |\n"},
		{name: "table, no column", text: from + "-->\n| timeout | calls |\n|---|---|\n| 50ms | 70% |\n", want: "no column calls among timeout, crashes"},
		{name: "table, no row", text: from + "-->\n| timeout | p99 |\n|---|---|\n| 3s | 70% |\n", want: "has no row with 3s in its column timeout"},
		{name: "table, two rows", text: from + "-->\n| timeout | p99 |\n|---|---|\n| 400ms | 626 ms |\n", want: "has no row with 626 ms in its column p99"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := repository(t, map[string]string{"doc.md": tc.text})
			lines := check(t, dir, options{})
			switch {
			case tc.want == "" && len(lines) > 1, tc.want != "" && (len(lines) != 2 || !strings.Contains(lines[0], tc.want)):
				t.Errorf("found\n%s\nwant %q", strings.Join(lines, "\n"), tc.want)
			}
			lines = check(t, dir, options{update: true})
			if tc.updated == "" {
				tc.updated = tc.text
			} else if len(lines) != 1 || !strings.Contains(lines[0], "updated: 1") {
				t.Errorf("with -update, printed\n%s", strings.Join(lines, "\n"))
			}
			text, err := os.ReadFile(filepath.Join(dir, "doc.md"))
			if err != nil || string(text) != tc.updated {
				t.Errorf("with -update, %v\n%s\nwant\n%s", err, text, tc.updated)
			}
		})
	}
}

func TestCSV(t *testing.T) {
	dir := repository(t, map[string]string{
		"deploy/r.csv": "cell,p99\na,\"1,500\"\n",
		"doc.md":       `<!-- from: deploy/r.csv row="a" col="p99" -->1,500 and <!-- from: deploy/r.csv row="a" col="p99" -->1,501`,
	})
	lines := check(t, dir, options{})
	if want := "doc.md:1: deploy/r.csv has 1,500, the document 1,501"; len(lines) != 2 || !strings.HasPrefix(lines[0], want) {
		t.Errorf("found\n%s\nwant %s", strings.Join(lines, "\n"), want)
	}
}
