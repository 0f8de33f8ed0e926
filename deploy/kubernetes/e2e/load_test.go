package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// target is the Service, as it is called from outside the cluster.
const target = "dns:///counter.crashlab:7101"

const recommended = "--policy=recommended"

// load is crashlab load on the machine of the clients. Its lines are read as it prints them.
type load struct {
	c       *cluster
	process *service

	mu         sync.Mutex
	rest       []byte // the beginning of a line
	calls      int    // that succeeded
	failures   []string
	served     map[string]span // by each address
	statistics []string
}

// span is the time from the first to the last event of a kind.
type span struct{ first, last time.Time }

// add returns the span with an event that happens now.
func (s span) add() span {
	s.last = time.Now()
	if s.first.IsZero() {
		s.first = s.last
	}
	return s
}

// startLoad makes calls until end, or until wait where the flags bound it.
func (c *cluster) startLoad(flags ...string) *load {
	c.t.Helper()
	l := &load{c: c, served: map[string]span{}}
	l.process = c.client.start(l, c.crashlab(), slices.Concat([]string{"load", "--target=" + target}, flags)...)
	return l
}

func (l *load) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, text...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		l.read(string(line))
		l.rest = rest
	}
}

// read reads a line. mu is held.
func (l *load) read(line string) {
	var call int
	var addr string
	switch n, _ := fmt.Sscanf(line, "Request %d served by %s", &call, &addr); {
	case n == 2:
		l.calls++
		l.served[addr] = l.served[addr].add()
	case strings.Contains(line, "] Logical Request ") && strings.Contains(line, " failed: "):
		l.failures = append(l.failures, line)
	case len(l.statistics) > 0 || strings.HasPrefix(line, "Total succeeded: "):
		if !strings.HasPrefix(line, "===") {
			l.statistics = append(l.statistics, line)
		}
	}
}

// servedBy returns when each address has served calls.
func (l *load) servedBy() map[string]span {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.served)
}

// more returns when so many more calls have succeeded.
func (l *load) more(calls int) {
	l.c.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.calls
	}
	want := count() + calls
	eventually(l.c.t, fmt.Sprintf("%d calls more", calls), func() bool {
		select {
		case <-l.process.ended:
			l.c.t.Fatalf("the load has ended with exit code %d", l.process.exitCode())
		default:
		}
		return count() >= want
	})
}

// end ends the load. A call that has failed is an error.
func (l *load) end(t *testing.T, what string) {
	t.Helper()
	l.process.signal("INT")
	l.wait(t, what)
	if n := len(l.failures); n > 0 {
		t.Errorf("%s: %d calls have failed, such as\n%s", what, n, strings.Join(l.failures[:min(n, 10)], "\n"))
	}
}

// wait waits for the end of the load, and logs its statistics.
func (l *load) wait(t *testing.T, what string) {
	t.Helper()
	const (
		late        = 3 // the pace was not kept, which depends on this machine
		interrupted = 130
	)
	if code := l.process.exitCode(); code != 0 && code != late && code != interrupted {
		t.Fatalf("%s: crashlab load has exit code %d:\n%s", what, code, l.process.m.tail(l.process.name))
	}
	t.Logf("%s:\n%s", what, strings.Join(l.statistics, "\n"))
}
