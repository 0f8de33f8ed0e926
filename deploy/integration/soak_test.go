package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
)

// soak makes the tests called Soak long. Apart from their counts, they are the same.
var soak = flag.Bool("soak", false, "let the tests called Soak make a million calls each, and minutes of chaos; and TestMachinesApart cut a machine off for longer")

// scale returns a count of a test: the second one in a soak, or else the first.
func scale(little, much int) int {
	if *soak {
		return much
	}
	return little
}

// besideOthers makes a test parallel, unless this is a soak.
func besideOthers(t *testing.T) {
	if !*soak {
		t.Parallel()
	}
}

// crew is a number of workers. Each makes calls, one after the other, until it is stopped.
type crew struct {
	t           *testing.T
	deadline    time.Duration // of each call
	begun       atomic.Int64
	ended       atomic.Int64
	enough      chan struct{} // closed when the wanted number of calls have ended
	stopped     atomic.Bool
	checkpoints []chan struct{} // one for each worker, see pass
	workers     sync.WaitGroup
}

// startCrew starts the workers, and stops them when the test ends. Calls are numbered from 0.
func startCrew(t *testing.T, workers, wanted int, deadline time.Duration, call func(ctx context.Context, number int)) *crew {
	c := &crew{t: t, deadline: deadline, enough: make(chan struct{})}
	one := func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		call(ctx, int(c.begun.Add(1)-1))
		if c.ended.Add(1) == int64(wanted) {
			close(c.enough)
		}
	}
	for range workers {
		checkpoint := make(chan struct{})
		c.checkpoints = append(c.checkpoints, checkpoint)
		c.workers.Go(func() {
			for !c.stopped.Load() {
				one()
				select {
				case <-checkpoint:
				default:
				}
			}
		})
	}
	t.Cleanup(c.stop)
	return c
}

// stop stops the workers, and waits until all calls have ended. The test fails if one continues
// long after its deadline.
func (c *crew) stop() {
	c.t.Helper()
	c.stopped.Store(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.workers.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(c.deadline + patience):
		c.hangs()
	}
}

// pass waits until all calls that are in flight now have ended. The crew must not be stopped.
func (c *crew) pass() {
	c.t.Helper()
	timeout := time.After(c.deadline + patience)
	for _, checkpoint := range c.checkpoints {
		select {
		case checkpoint <- struct{}{}:
		case <-timeout:
			c.hangs()
		}
	}
}

func (c *crew) hangs() {
	c.t.Helper()
	c.t.Fatalf("calls of %v have not ended after %v more:\n%s", c.deadline, patience, strings.Join(clientStacks(), "\n\n"))
}

// hasEnough reports whether the wanted number of calls have ended.
func (c *crew) hasEnough() bool {
	select {
	case <-c.enough:
		return true
	default:
		return false
	}
}

// mistakes fails a test. It prints the first few mistakes, and counts the others.
type mistakes struct {
	t *testing.T
	n atomic.Int64
}

const printedMistakes = 5

func newMistakes(t *testing.T) *mistakes {
	m := &mistakes{t: t}
	t.Cleanup(func() {
		if more := m.n.Load() - printedMistakes; more > 0 {
			t.Errorf("and %d more like those", more)
		}
	})
	return m
}

func (m *mistakes) add(format string, args ...any) {
	if m.n.Add(1) <= printedMistakes {
		m.t.Errorf(format, args...)
	}
}

// hunter sends signals to the replicas of a cluster. It finds their processes in the supervisor's
// log.
type hunter struct {
	*cluster
	read  int // number of lines of the log
	prey  map[string]*os.Process
	kills int
}

func newHunter(c *cluster) *hunter { return &hunter{cluster: c, prey: map[string]*os.Process{}} }

// follow reads further lines of the log. It returns a channel that is closed when there are more.
func (h *hunter) follow() <-chan struct{} {
	lines, more := h.stderr.from(h.read)
	h.read += len(lines)
	for _, line := range lines {
		var e event
		if !e.parse(line) {
			continue
		}
		switch e.Message {
		case "launched":
			// The handle is safe even if the process has ended and its ID is reused.
			if p, err := os.FindProcess(e.PID); err == nil {
				h.prey[e.Replica] = p
			}
		case "exited":
			delete(h.prey, e.Replica)
		}
	}
	return more
}

// awaitLaunched waits until the i-th replica has a process, and returns it.
func (h *hunter) awaitLaunched(i int) *os.Process {
	h.t.Helper()
	for timeout := time.After(patience); ; {
		more := h.follow()
		if p := h.prey[letter(i)]; p != nil {
			return p
		}
		select {
		case <-more:
		case <-timeout:
			h.t.Fatalf("replica %s was not launched in %v", letter(i), patience)
		}
	}
}

// hit sends a signal to the current process of the i-th replica.
func (h *hunter) hit(i int, sig syscall.Signal) {
	h.t.Helper()
	p := h.awaitLaunched(i)
	if err := p.Signal(sig); err != nil {
		h.t.Fatalf("replica %s cannot be sent %v: %v", letter(i), sig, err)
	}
	if sig == syscall.SIGKILL {
		delete(h.prey, letter(i))
		h.kills++
	}
}

// figures returns the statistics on one line.
func figures(s failover.Statistics) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls: %d succeeded", s.Calls, s.Succeeded)
	for _, r := range failover.Reasons() {
		if n := s.Failed[r]; n > 0 {
			fmt.Fprintf(&b, ", %d failed (%v)", n, r)
		}
	}
	b.WriteString("; attempts:")
	for i, o := range failover.Outcomes() {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %d %v", s.Attempts[o], o)
	}
	return b.String()
}
