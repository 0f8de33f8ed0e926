package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is one line of go test -json, see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build, instead of Package
	Test       string
	Output     string
}

// test names a test, or a package if Name is empty.
type test struct{ Package, Name string }

// summary counts tests, and prints the part of their output that matters.
type summary struct {
	out      io.Writer
	packages int // with tests
	// Packages in which a test failed, or which did not build or did not run to their end.
	broken  int
	passed  int
	failed  int
	skipped map[string][]string // reason → tests

	output map[test][]string // of tests and packages that have not ended
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, skipped: map[string][]string{}, output: map[test][]string{}}
}

// read processes the output of one go test. It prints lines that are not JSON as they are.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(s.out, line)
			} else {
				s.add(e)
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "output":
		s.output[t] = append(s.output[t], e.Output)
	case "pass", "fail", "skip":
		s.end(t, e.Action)
	}
}

func (s *summary) end(t test, action string) {
	if t.Name == "" {
		s.endPackage(t.Package, action)
		return
	}
	switch action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		s.print(t)
	case "skip":
		why := reason(s.output[t])
		s.skipped[why] = append(s.skipped[why], t.Name)
	}
	delete(s.output, t)
}

// endPackage prints the line of a package. If the package failed, it prints all its output, and
// that of the tests that had not ended.
func (s *summary) endPackage(name, action string) {
	whole := test{Package: name}
	if action != "skip" { // skip: it has no tests
		s.packages++
	}
	if action == "fail" {
		s.broken++
		for _, t := range slices.SortedFunc(maps.Keys(s.output), func(a, b test) int { return cmp.Compare(a.Name, b.Name) }) {
			if t.Package == name && t != whole {
				s.print(t)
			}
		}
		s.print(whole)
	} else if n := len(s.output[whole]); n > 0 {
		fmt.Fprint(s.out, s.output[whole][n-1])
	}
	maps.DeleteFunc(s.output, func(t test, _ []string) bool { return t.Package == name })
}

func (s *summary) print(t test) {
	for _, line := range s.output[t] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(s.out, line)
		}
	}
}

// logged matches a line logged by a test: file, line number and text.
var logged = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)\n`)

// reason returns why a test was skipped, which is the last thing that it logged.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if m := logged.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return "no reason given"
}

// line returns the summary.
func (s *summary) line(took time.Duration, note string) string {
	parts := []string{fmt.Sprintf("%s passed in %s in %v", count(s.passed, "test"), count(s.packages, "package"), took.Round(time.Second))}
	if s.broken > 0 {
		parts = append(parts, fmt.Sprintf("%d FAILED in %s", s.failed, count(s.broken, "package")))
	}
	if len(s.skipped) == 0 {
		parts = append(parts, "none skipped")
	}
	for _, why := range slices.Sorted(maps.Keys(s.skipped)) {
		parts = append(parts, fmt.Sprintf("skipped %s (%s)", few(s.skipped[why]), why))
	}
	if note != "" {
		parts = append(parts, note)
	}
	return strings.Join(parts, "; ")
}

// few returns the names if there are few, and otherwise their number.
func few(names []string) string {
	if len(names) > 3 {
		return count(len(names), "test")
	}
	return strings.Join(names, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
