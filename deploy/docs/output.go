package main

import (
	"regexp"
	"strings"
)

var (
	number = regexp.MustCompile(`(?:\d+(?:\.\d+)?(?:ns|µs|ms|s|m|h))+\b|\d+(?:[.,:]\d+)*(?: ?(?:ns|µs|ms|s|min|m|h)\b|%)?`)
	escape = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")
	bar    = regexp.MustCompile(`[█▉▊▋▌▍▎▏▁▂▃▄▅▆▇]+`)
)

// vague returns a line without what differs from run to run: numbers with their units, which are
// all one, bars, and how many spaces there are.
func vague(line string) string {
	line = number.ReplaceAllString(line, "#")
	line = bar.ReplaceAllString(line, "█")
	return strings.Join(strings.Fields(line), " ")
}

// compare compares a command's output with the lines that a document shows. Numbers need not agree,
// unless exact. It returns the first line of want that no line of the output can be, and the line
// that stands in its place; -1 if all agree.
func compare(want []string, output string, exact bool) (at int, got string) {
	have := outputLines(output)
	same := func(w, h string) bool {
		if exact {
			return elided(strings.TrimRight(w, " "), strings.TrimRight(h, " "))
		}
		return elided(vague(w), vague(h))
	}
	// reach has the numbers of lines of the output that the first i lines of want may be.
	reach := map[int]bool{0: true}
	for i, w := range want {
		next := map[int]bool{}
		for n := range reach {
			switch {
			case strings.TrimSpace(w) == "...":
				for ; n <= len(have); n++ {
					next[n] = true
				}
			case n < len(have) && same(w, have[n]):
				next[n+1] = true
			}
		}
		if len(next) == 0 {
			return i, lineAt(have, reach)
		}
		reach = next
	}
	if reach[len(have)] {
		return -1, ""
	}
	return len(want), lineAt(have, reach)
}

// outputLines returns the lines of a command's output, without colors and blank lines at its end.
func outputLines(output string) []string {
	return strings.Split(strings.TrimRight(escape.ReplaceAllString(output, ""), " \n"), "\n")
}

// lineAt returns the first line that has not been reached.
func lineAt(have []string, reach map[int]bool) string {
	for n := range have {
		if reach[n] {
			return have[n]
		}
	}
	return "its end"
}

// elided reports whether a line is another one in which "..." stands for any text.
func elided(pattern, line string) bool {
	parts := strings.Split(pattern, "...")
	if len(parts) == 1 {
		return pattern == line
	}
	rest, ok := strings.CutPrefix(line, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
