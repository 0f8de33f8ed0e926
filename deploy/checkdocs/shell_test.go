package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	for _, tc := range []struct {
		script string
		want   []string // LINE, [FOLDER,] words joined by |
	}{
		{"a b  c # d", []string{"0 a|b|c"}},
		{"a 'b c' \"d e\" f\\ g h'i'\"j\"", []string{"0 a|b c|d e|f g|hij"}},
		{`a "" ''`, []string{"0 a||"}},
		{"a &\nb; c && d || e | f", []string{"0 a", "1 b", "1 c", "1 d", "1 e", "1 f"}},
		{"a \\\n  b\nc", []string{"0 a|b", "2 c"}},
		{"X=1 Y='2 3' a b=c", []string{"0 a|b=c"}},
		{"a >b 2>&1 <c d &>e f", []string{"0 a|d|f"}},
		{"a <(b c) d", []string{"0 a|$()|d", "0 b|c"}},
		{"x=$(a \"$(b)\") c \"$(d)\"", []string{"0 c|$()", "0 a|$()", "0 b", "0 d"}},
		{"if a; then b; else c; fi\nwhile ! d; do e; done", []string{"0 a", "0 b", "0 c", "1 d", "1 e"}},
		{"for x in 1 2; do a $x; done", []string{"0 a|$x"}},
		{"cat >a <<END\nb\nEND\nc", []string{"0 cat", "3 c"}},
		{"cd a && b\nc; (cd d; e)\nf; cd ../g; h", []string{"0 cd|a", "0 a, b", "1 a, c", "1 a, cd|d", "1 a/d, e", "2 a, f", "2 a, cd|../g", "2 g, h"}},
		{"a '{\"b\":1}' --c={d}", []string{`0 a|{"b":1}|--c={d}`}},
		{"a 'b\nc' d\ne", []string{"0 a|b\nc|d", "2 e"}},
	} {
		var got []string
		all, err := commands(tc.script)
		if err != nil {
			t.Errorf("%q: %v", tc.script, err)
		}
		for _, c := range all {
			dir := ""
			if c.dir != "" {
				dir = c.dir + ", "
			}
			got = append(got, fmt.Sprintf("%d %s%s", c.line, dir, strings.Join(c.words, "|")))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.script, got, tc.want)
		}
	}
}

func TestNormalize(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"p50 1.25ms, p99  1m2.5s", "p50 300µs, p99 12.1 s", true},
		{"2026-11-22T12:52:57.844Z [INFO]", "2027-01-02T03:04:05.6Z [INFO]", true},
		{"at 127.0.0.1:7101 pid=12", "at 127.0.0.1:17101 pid=34567", true},
		{"█▎ 3%", "█████ 99.9%", true},
		{"3 calls", "3 call", false},
		{"ready 3s", "waiting 3s", false},
		{"5s", "5 steps", false},
		{"none", "0", false},
	} {
		if same := normalize(tc.a) == normalize(tc.b); same != tc.same {
			t.Errorf("%q and %q: same is %v (%q, %q)", tc.a, tc.b, same, normalize(tc.a), normalize(tc.b))
		}
	}
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		want, output string
		at           int
		got          string
	}{
		{"a\nb", "a\nb\n", -1, ""},
		{"...", "a\nb\n", -1, ""},
		{"a\n...\nd", "a\nb\nc\nd", -1, ""},
		{"a\n...\nd", "a\nd", -1, ""},
		{"...\nb\n...\nb", "b\na\nb\nb", -1, ""},
		{"a ... c", "a b c", -1, ""},
		{"a\nb", "a", 1, "its end"},
		{"a", "a\nb", 1, "b"},
		{"a\nx\nc", "a\nb\nc", 1, "b"},
		{"...\nx", "a\nb", 1, "a"},
		{"a 1", "\x1b[31ma\x1b[0m 2", -1, ""},
	} {
		at, got := compare(strings.Split(tc.want, "\n"), tc.output)
		if at != tc.at || got != tc.got {
			t.Errorf("%q, %q: %d %q, want %d %q", tc.want, tc.output, at, got, tc.at, tc.got)
		}
	}
}
