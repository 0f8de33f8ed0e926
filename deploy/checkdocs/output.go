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

// normalize removes what differs from run to run: it replaces each number with its unit by #, each
// bar by █, and white space by one space.
func normalize(line string) string {
	line = number.ReplaceAllString(line, "#")
	line = bar.ReplaceAllString(line, "█")
	return strings.Join(strings.Fields(line), " ")
}

// compare compares a command's output with the lines that a document shows. Numbers may differ. It
// returns the first line of want that no line of the output matches, and the line in its place, or
// -1 if all lines match.
func compare(want []string, output string) (at int, got string) {
	have := outputLines(output)
	// reach has each n for which the first i lines of want match the first n lines of the output.
	reach := map[int]bool{0: true}
	for i, w := range want {
		next := map[int]bool{}
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(normalize(w)), `\.\.\.`, ".*") + "$")
		for n := range reach {
			switch {
			case strings.TrimSpace(w) == "...":
				for ; n <= len(have); n++ {
					next[n] = true
				}
			case n < len(have) && pattern.MatchString(normalize(have[n])):
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
