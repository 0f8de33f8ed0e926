package integration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// report is the output of crashlab load.
type report struct {
	calls       []call         // in the order of their ends
	served      map[string]int // from the statistics, by address, like the fields below
	succeeded   int
	failed      int
	interrupted int
	outcomes    map[string]int
}

// call has the lines about a call.
type call struct {
	number   int
	attempts []attempt
	end      string // "served", "failed" or "interrupted"
	addr     string // of the replica that served it
	reply    string // such as "OK 3"
}

// attempt has the lines about an attempt.
type attempt struct{ addr, outcome, sent string }

// The lines about a call are those of the original lab. Then comes the line of the outcomes.
var (
	beginLine       = regexp.MustCompile(`^\[Client\] === Logical Request (\d+) ===$`)
	attemptLine     = regexp.MustCompile(`^\[Client\] Attempt (\d+): trying replica (\S+)$`)
	successLine     = regexp.MustCompile(`^\[Client\] Success from (\S+) -> (OK \d+)$`)
	failureLine     = regexp.MustCompile(`^\[Client\] Failed with (\S+): ([a-z]+) \((sent|unsent), \S+\): .+$`)
	servedLine      = regexp.MustCompile(`^Request (\d+) served by (\S+) with reply "(OK \d+)"$`)
	failedLine      = regexp.MustCompile(`^\[Client\] Logical Request (\d+) failed: All replicas failed after (\d+) attempts?\. Last error: .+$`)
	interruptedLine = regexp.MustCompile(`^\[Client\] Logical Request (\d+) interrupted after (\d+) attempts?\.$`)
	outcomesLine    = regexp.MustCompile(`^Attempts by outcome: ([a-z]+ \d+(?:, [a-z]+ \d+)*)$`)
)

const rule = "=================================================="

// parseReport parses the output. The test fails if a line is not in its place, or contradicts those
// before it.
func parseReport(t *testing.T, stdout string) report {
	t.Helper()
	lines, statistics, ok := strings.Cut(stdout, "\n"+rule+"\nPER-REPLICA STATISTICS\n"+rule+"\n")
	if !ok {
		t.Fatalf("no statistics in\n%s", stdout)
	}
	var r report
	rest := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
	for len(rest) > 0 && rest[0] != "" {
		var c call
		if c, rest = parseCall(rest); c.end == "" {
			t.Fatalf("after %d calls, unexpected lines %q", len(r.calls), rest)
		}
		r.calls = append(r.calls, c)
	}
	if err := r.parseStatistics(statistics); err != nil {
		t.Fatalf("%v in the statistics\n%s", err, statistics)
	}
	return r
}

// parseCall parses the lines of a call, and returns the lines after it. It returns a call without
// end if it cannot.
func parseCall(lines []string) (call, []string) {
	var c call
	var m []string
	next := func(line *regexp.Regexp) bool {
		if len(lines) == 0 {
			return false
		}
		if m = line.FindStringSubmatch(lines[0]); m != nil {
			lines = lines[1:]
		}
		return m != nil
	}
	if !next(beginLine) {
		return call{}, lines
	}
	number := m[1]
	c.number = atoi(number)
	for next(attemptLine) {
		if atoi(m[1]) != len(c.attempts)+1 {
			return call{}, lines
		}
		a := attempt{addr: m[2]}
		switch {
		case next(successLine):
			a.outcome, a.sent, c.addr, c.reply = "ok", "sent", m[1], m[2]
		case next(failureLine):
			a.outcome, a.sent = m[2], m[3]
		default:
			return call{}, lines
		}
		if m[1] != a.addr {
			return call{}, lines
		}
		c.attempts = append(c.attempts, a)
	}
	switch {
	case next(servedLine) && m[1] == number && m[2] == c.addr && m[3] == c.reply:
		c.end = "served"
	case next(failedLine) && m[1] == number && atoi(m[2]) == len(c.attempts):
		c.end = "failed"
	case next(interruptedLine) && m[1] == number && atoi(m[2]) == len(c.attempts):
		c.end = "interrupted"
	}
	return c, lines
}

func (r *report) parseStatistics(text string) error {
	r.served, r.outcomes = map[string]int{}, map[string]int{}
	replicas, rest, ok := strings.Cut(text, "\n\n")
	if !ok {
		return fmt.Errorf("no empty line")
	}
	for line := range strings.SplitSeq(replicas, "\n") {
		var addr string
		var n int
		if _, err := fmt.Sscanf(line, "Replica %s served %d successful requests", &addr, &n); err != nil {
			return fmt.Errorf("%w: line %q", err, line)
		}
		r.served[addr] = n
	}
	if _, err := fmt.Sscanf(rest, "Total succeeded: %d, Total failed: %d\n"+rule, &r.succeeded, &r.failed); err != nil {
		return fmt.Errorf("%w: totals", err)
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "Interrupted: "); ok {
			r.interrupted = atoi(n)
		}
		if m := outcomesLine.FindStringSubmatch(line); m != nil {
			for part := range strings.SplitSeq(m[1], ", ") {
				outcome, n, _ := strings.Cut(part, " ")
				r.outcomes[outcome] = atoi(n)
			}
		}
	}
	if len(r.outcomes) == 0 {
		return fmt.Errorf("no outcomes")
	}
	return nil
}

// atoi parses digits; it returns -1 for other texts.
func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// check checks that the statistics agree with the lines, for n calls to these addresses.
func (r report) check(t *testing.T, n int, addrs []string) {
	t.Helper()
	var want report
	want.served, want.outcomes = map[string]int{}, map[string]int{}
	numbers := map[int]bool{}
	for _, c := range r.calls {
		numbers[c.number] = true
		switch c.end {
		case "served":
			want.succeeded++
			want.served[c.addr]++
		case "failed":
			want.failed++
		case "interrupted":
			want.interrupted++
		}
		for _, a := range c.attempts {
			want.outcomes[a.outcome]++
		}
	}
	for number := range n {
		if !numbers[number+1] {
			t.Errorf("there are %d calls, but no lines about call %d", n, number+1)
		}
	}
	if r.succeeded != want.succeeded || r.failed != want.failed || r.interrupted != want.interrupted || len(r.calls) != n {
		t.Errorf("statistics: %d succeeded, %d failed, %d interrupted, of %d; the lines have %d, %d, %d, of %d",
			r.succeeded, r.failed, r.interrupted, n, want.succeeded, want.failed, want.interrupted, len(r.calls))
	}
	if len(r.served) != len(addrs) {
		t.Errorf("statistics of the replicas %v, want one of each of %v", r.served, addrs)
	}
	for _, addr := range addrs {
		if r.served[addr] != want.served[addr] {
			t.Errorf("statistics: %s served %d, the lines have %d", addr, r.served[addr], want.served[addr])
		}
	}
	for outcome, n := range r.outcomes {
		if n != want.outcomes[outcome] {
			t.Errorf("statistics: %d attempts %s, the lines have %d", n, outcome, want.outcomes[outcome])
		}
		delete(want.outcomes, outcome)
	}
	if len(want.outcomes) > 0 {
		t.Errorf("outcomes %v are in the lines, not in the statistics", want.outcomes)
	}
}
