package supervisor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/internal/process/guardian"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

const patience = processtest.Patience

var (
	alive        = processtest.Alive
	processState = processtest.State
	needs        = processtest.Needs
	waitDead     = processtest.WaitDead
	eventually   = processtest.Eventually
)

// patient are waits that only a hang can exceed.
var patient = waits{
	process.Waits{Drain: patience, Guardian: guardian.Waits{Write: patience, Silence: patience}}, patience,
}

// running is a Supervisor that runs, and what it has reported so far.
type running struct {
	*Supervisor
	t    *testing.T
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned

	mu      sync.Mutex
	events  []event.Event
	lines   []string
	changed chan struct{} // holds a token if something was reported since
}

// start runs a supervisor until the test ends or stop is called.
func start(t *testing.T, c *Config) *running {
	t.Helper()
	if c.waits == nil {
		c.waits = &patient
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stop: cancel, done: make(chan struct{}), changed: make(chan struct{}, 1)}
	c.OnEvent = func(e event.Event) { r.record(func() { r.events = append(r.events, e) }) }
	c.OnOutput = func(replica string, lines []byte) {
		r.record(func() {
			for line := range strings.Lines(string(lines)) {
				r.lines = append(r.lines, replica+" "+strings.TrimSuffix(line, "\n"))
			}
		})
	}
	s, err := New(*c)
	if err != nil {
		t.Fatal(err)
	}
	r.Supervisor = s
	go func() {
		defer close(r.done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		s.Kill()
		<-r.done
		if t.Failed() {
			t.Logf("events: %+v\n%d lines of output", r.events, len(r.lines))
		}
	})
	return r
}

func (r *running) record(add func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// until waits until ok returns true. It calls ok after each report, with mu locked.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		yes := ok()
		r.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-r.changed:
		case <-timeout:
			r.t.Fatalf("after %v still no %s", patience, what)
		}
	}
}

// event waits for an event of the n-th incarnation of the only replica.
func (r *running) event(kind event.Kind, n int) event.Event {
	r.t.Helper()
	var found event.Event
	r.until(fmt.Sprintf("event %q of incarnation %d", kind, n), func() bool {
		for _, e := range r.events {
			if e.Kind == kind && e.Incarnation == n {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// line waits for a line that matches the format of fmt.Sscanf, and fills args.
func (r *running) line(format string, args ...any) {
	r.t.Helper()
	r.until(fmt.Sprintf("line %q", format), func() bool {
		for _, l := range r.lines {
			if n, err := fmt.Sscanf(l, format, args...); err == nil && n == len(args) {
				return true
			}
		}
		return false
	})
}

func (r *running) ends() {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("Run has not returned after %v", patience)
	}
}

// run runs a supervisor until ctx ends.
func run(ctx context.Context, c *Config) error {
	s, err := New(*c)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// many configures n replicas: a, b, c, and so on. Args returns the command of the i-th.
func many(n int, p restart.Policy, args func(i int) []string) *Config {
	return &Config{Groups: []spec.Group{{Count: n, Policy: p, Replica: func(i int) spec.Replica {
		return spec.Replica{Name: string(rune('a' + i)), Args: args(i)}
	}}}}
}

// one configures a single replica, a.
func one(r spec.Replica, p restart.Policy) *Config {
	r.Name = "a"
	return &Config{Groups: []spec.Group{{Count: 1, Policy: p, Replica: func(int) spec.Replica { return r }}}}
}

// child returns a replica that plays a part.
func child(mode string, args ...string) spec.Replica { return spec.Replica{Args: as(mode, args...)} }
