package process

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/process/guardian"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/spec"
)

// part makes the test binary play a part instead of running tests.
const part = "PROCESS_TEST_PART"

// parts are the parts, by name.
var parts = map[string]func(){"guard": func() {
	if err := guardian.Guard(os.Stdin); err != nil {
		panic(err)
	}
}}

func TestMain(m *testing.M) {
	if play := parts[os.Getenv(part)]; play != nil {
		os.Unsetenv(part)
		play()
		return
	}
	os.Exit(m.Run())
}

// as returns the command line that makes the test binary play a part. It avoids the second that the
// race detector takes to exit.
func as(name string) []string {
	return []string{"env", "GORACE=atexit_sleep_ms=0", part + "=" + name, os.Args[0]}
}

// patient are waits that only a hang can exceed.
var patient = Waits{
	Drain:    processtest.Patience,
	Guardian: guardian.Waits{Write: processtest.Patience, Silence: processtest.Patience},
}

// newMachine returns a machine that is closed when the test ends.
func newMachine(t *testing.T, c Config) *Machine {
	t.Helper()
	if c.Output == nil {
		c.Output = output.NewHub(nil, nil, 0)
	}
	c.Waits, c.GuardianLost = patient, func(err error) { t.Error(err) }
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// endOf waits for the end of a replica, and kills processes that its first one has left running.
func endOf(p *Process) End {
	select {
	case <-p.Abandoned():
		p.Kill()
		return <-p.Ended()
	case end := <-p.Ended():
		return end
	}
}

// run runs a shell script, and returns its output.
func run(t *testing.T, script string, l spec.Limits) string {
	t.Helper()
	end := launch(t, newMachine(t, Config{}), Command{Args: []string{"/bin/sh", "-c", script}, Dir: "/", Limits: l})
	return strings.Join(end.Output, "\n")
}

// launch launches a command, and waits for its end.
func launch(t *testing.T, m *Machine, c Command) End {
	t.Helper()
	c.Replica = "a"
	p, err := m.Launch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return endOf(p)
}

// launchError launches a command that cannot be launched, and returns the error.
func launchError(t *testing.T, m *Machine, c Command) error {
	t.Helper()
	c.Replica = "a"
	p, err := m.Launch(t.Context(), c)
	if err == nil {
		p.Kill()
		t.Fatalf("launched %v", c)
	}
	return err
}

// A launch that was queued when the stop came does not happen.
func TestNoLaunchAfterTheStop(t *testing.T) {
	m := newMachine(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := m.Launch(ctx, Command{Replica: "a", Args: []string{"true"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("launched %v, %v after the stop", p, err)
	}
}

// A supervisor that runs under another one extends its mark.
func TestNestedMarks(t *testing.T) {
	t.Setenv(tree.Variable, "outer-1.")
	for _, env := range [][]string{nil, {}, {"A=b"}} {
		if got := environ(Command{Env: env}, "inner-2.", ""); !slices.Contains(got, tree.Variable+"=outer-1.inner-2.") {
			t.Errorf("environment %q", got)
		}
	}
}
