package inputfile

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
)

// onALine has ways to nest collections on one line.
var onALine = map[string]struct{ before, open, end string }{
	"lists":              {"a: ", "[", "]"},
	"lists without ends": {"a: ", "[", ""},
	"mappings":           {"a: ", "{a: ", "}"},
	"lists of mappings":  {"a: ", "[{a: ", "}]"},
	"quoted keys":        {"a: ", `{"a": `, "}"},
	"dashes":             {"", "- ", "a"},
	"questions":          {"", "? ", "a"},
	"colons":             {"", "a: ", ""},
	"dashes in a list":   {"a: [", "- ", ""},
	"questions in a map": {"a: {", "? ", ""},
	"anchors":            {"a: ", "&a [", "]"},
	"tags":               {"a: ", "!a [", "]"},
	"in a block list":    {"a:\n- b:\n  - ", "[", "]"},
}

// onLines has ways to nest collections by indentation.
var onLines = map[string]string{"mappings": "a:\n", "lists": "-\n", "mixed": "- a:\n", "complex keys": "? \n"}

// Collections that are nested too deeply are rejected with one line, and without the gigabytes of
// memory that the library would take.
func TestDepthIsBounded(t *testing.T) {
	for name, n := range onALine {
		for _, depth := range []int{40, 1000, 10_000, 100_000} {
			text := n.before + strings.Repeat(n.open, depth) + strings.Repeat(n.end, depth)
			t.Run(fmt.Sprintf("%s, %d on a line", name, depth), func(t *testing.T) { refused(t, text) })
		}
	}
	for name, line := range onLines {
		for _, depth := range []int{40, 150} {
			var text strings.Builder
			for i := range depth {
				fmt.Fprintf(&text, "%*s%s", 4*i, "", line)
			}
			t.Run(fmt.Sprintf("%s, %d on lines", name, depth), func(t *testing.T) {
				refused(t, text.String())
				refused(t, text.String()+strings.Repeat(" ", 4*depth)+strings.Repeat("[", depth))
			})
		}
	}
}

func refused(t *testing.T, text string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Parse("x.yaml", []byte(text))
	runtime.ReadMemStats(&after)
	want := "more than 32 lists and mappings in each other: want fewer"
	if len(text) > MaxYAML {
		want = "x.yaml: larger than 64 KiB: want a smaller file"
	}
	m, ok := errors.AsType[*Mistake](err)
	if !ok || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || len(m.Excerpt) > 2000 {
		t.Errorf("got %.1000v, want one line that contains %q", err, want)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 48<<20 {
		t.Errorf("%d MB were allocated", got>>20)
	}
}

// Typical files are far below the limits.
func TestDepthThatIsAllowed(t *testing.T) {
	for _, text := range []string{
		"a: " + strings.Repeat("[", 30) + strings.Repeat("]", 30),
		strings.Repeat("- [{a: 1}, {b: [2]}]\n", 1000),
		"a:\n" + strings.Repeat("- b:\n    c:\n    - d: {e: [f]}\n", 500),
		"a: [" + strings.Repeat("b: 1, ", 1000) + "]",
		"a: |\n" + strings.Repeat("  [[[{{{- - - -\n", 1000),
		"a: \"" + strings.Repeat("[", 1000) + "\"",
		"# " + strings.Repeat("[", 1000) + "\na: b",
	} {
		if _, err := Parse("x.yaml", []byte(text)); err != nil {
			t.Errorf("%.40q...: %v", text, err)
		}
	}
}

// The library takes quadratic time for empty lines in a text block.
func TestLinesAreBounded(t *testing.T) {
	want := "x.yaml: more than 4000 lines: want fewer"
	for _, end := range []string{"\n", "\r", " \r"} {
		if _, err := Parse("x.yaml", []byte("a: |\n"+strings.Repeat(end, 20_000)+" b\n")); err == nil || err.Error() != want {
			t.Errorf("%q: got %.200v, want %s", end, err, want)
		}
	}
	if _, err := Parse("x.yaml", []byte(strings.Repeat("- a\r\n", maxLines))); err != nil {
		t.Error(err)
	}
}

// Aliases are not expanded.
func TestAliasesDoNotMultiply(t *testing.T) {
	text := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'z'; c++ {
		text += fmt.Sprintf("%c: &%[1]c [%s*%c]\n", c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 8), c-1)
	}
	d, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	nodes := 0
	ast.Walk(counting(func() { nodes++ }), d.Root)
	if nodes > 1000 {
		t.Errorf("%d nodes", nodes)
	}
	for _, entry := range d.Root.(*ast.MappingNode).Values {
		if text, ok := Scalar(entry.Value); ok {
			t.Errorf("%s has the text %q", entry.Key, text)
		}
	}
}

type counting func()

func (c counting) Visit(ast.Node) ast.Visitor {
	c()
	return c
}

func TestSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"replicas: 3\nreplicas 3\n": `x.yaml:2:1: "replicas 3": want KEY: value (`,
		"a: \"b\n":                  "x.yaml:1:4: want YAML: ",
		"a: [b\n":                   "x.yaml:1:4: want YAML: ",
		"a: b\na: c\n":              "x.yaml:2:1: ",
		"a: b\n---\nc: d\n":         "x.yaml:3:2: a second document: want one",
		"a: b\n\tc: d\n":            "x.yaml:2:1: want YAML: ",
	} {
		_, err := Parse("x.yaml", []byte(text))
		m, ok := errors.AsType[*Mistake](err)
		if !ok || !strings.HasPrefix(err.Error(), want) || !strings.Contains(m.Excerpt, "^") {
			t.Errorf("%q: got %v, want %s and an excerpt", text, err, want)
		}
	}
	for _, empty := range []string{"", "\n", "# a: b\n", "---\n"} {
		if d, err := Parse("x.yaml", []byte(empty)); err != nil || d.Root != nil {
			t.Errorf("%q: got %v, %v", empty, d, err)
		}
	}
}

// Braces without quotes are a mapping to YAML, where a text was meant.
func TestBracesWithoutQuotes(t *testing.T) {
	want := `{addr}: want quotes around a text with braces, such as "{addr}"`
	for text, column := range map[string]int{
		"command: [bin/x, --addr={addr}]": 25,
		"command: [bin/x, {addr}, b]":     18,
		"command: [a, {addr}:{addr}]":     14,
		"command: [a, ${addr}]":           15,
		"dir: {addr}/x":                   6,
		"env: {A: {addr}}":                10,
	} {
		_, err := Parse("x.yaml", []byte(text))
		m, ok := errors.AsType[*Mistake](err)
		if where := fmt.Sprintf("x.yaml:1:%d", column); !ok || m.Name != where || m.What != want {
			t.Errorf("%s: got %v, want %s: %s", text, err, where, want)
		}
	}
	for _, text := range []string{`a: ["--addr={addr}", '{addr}']`, "a: x{addr}", "a:\n- b {addr} c", "a: |\n  {addr}", "# {addr}", "a: {b: c}", "a: {}"} {
		if _, err := Parse("x.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Some editors begin a file with a byte order mark.
func TestByteOrderMark(t *testing.T) {
	d, err := Parse("x.yaml", []byte("\ufeffa: b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if key := d.Root.(*ast.MappingNode).Values[0].Key.GetToken(); key.Value != "a" || key.Position.Column != 1 {
		t.Errorf("got the key %q at column %d", key.Value, key.Position.Column)
	}
}

// Errors about long lines and values remain readable.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	d, err := Parse("x.yaml", []byte(long+": b\n"+strings.Repeat("c", 5000)+": [d, e]\nf: g\n"))
	if err != nil {
		t.Fatal(err)
	}
	entry := d.Root.(*ast.MappingNode).Values[1]
	m, _ := errors.AsType[*Mistake](d.Place(entry.Value.(*ast.SequenceNode).Values[1]).Errorf("%q is long", long))
	line := strings.Repeat("c", 54) + ": [d, e]"
	want := "   1 | " + strings.Repeat("ä", 54) + ": b\n>  2 | " + line + "\n       " + strings.Repeat(" ", 60) + "^\n   3 | "
	if m.Name != "x.yaml:2:5007" || m.Excerpt != want {
		t.Errorf("got %s\n%s\nwant\n%s", m.Name, m.Excerpt, want)
	}
	if what := []rune(m.What); len(what) != maxWhat+1 || !strings.HasPrefix(m.What, `"ää`) || !strings.HasSuffix(m.What, `ä" is long`) {
		t.Errorf("got %d characters: %s", len(what), m.What)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"a: [b, {c: d}]\n- e", "a: |\n  b\n\nc: >-\n  d", "a: &b !c \"d\\n\"\ne: *b\n<<: *b", "? a\n: 'b''c'\n---\n...\n%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse("x.yaml", []byte(text))
		if err != nil {
			m, ok := errors.AsType[*Mistake](err)
			if !ok || strings.Contains(err.Error(), "\n") || len([]rune(m.What)) > maxWhat+1 {
				t.Errorf("%v: want a mistake on one line", err)
			}
			if lines := strings.Count(m.Excerpt, "\n"); lines > 2*around+1 || m.Excerpt != "" && !strings.Contains(m.Excerpt, "^") {
				t.Errorf("excerpt %q", m.Excerpt)
			}
			return
		}
		if d.Root == nil {
			return
		}
		ast.Walk(counting(func() {}), d.Root)
		if p := d.Place(d.Root); !strings.HasPrefix(p.Name, "x.yaml:") {
			t.Errorf("the root is at %+v", p)
		}
	})
}
