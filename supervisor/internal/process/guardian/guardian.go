package guardian

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/internal/process/tree"
)

// The first guardian that is lost is replaced at once. Each further pause is twice the one before,
// until a guardian has lived longer than maxPause.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = time.Minute
)

// Config configures a [Guardian].
type Config struct {
	Command []string    // a program that calls Guard with its stdin; empty: no guardian
	Tree    tree.Handle // what to kill
	Waits   Waits

	// Lost is called, one call at a time, when a guardian process ends or hangs before Stop, and
	// each time another one cannot be started.
	Lost func(error)
}

// Waits limits what a hanging guardian can cost.
type Waits struct {
	Write   time.Duration // for a write to its pipe, and for its end
	Silence time.Duration // how long it may leave lines unread
}

// DefaultWaits are the waits in production.
var DefaultWaits = Waits{Write: time.Second, Silence: 5 * time.Second}

// Guardian is the supervisor's side of guardian processes, of which there is one at a time. A nil
// *Guardian is none.
type Guardian struct {
	config Config
	quit   chan struct{} // closed by Stop
	ended  chan struct{} // closed when the last process has ended

	mu     sync.Mutex
	groups map[int]bool // running process groups
	guard  *guard       // nil while there is no process
	end    bool         // Stop was called
}

// Start starts the command, and starts it again when it ends or hangs before Stop. It returns nil
// if there is no command, and an error if the command cannot be started the first time.
func Start(c Config) (*Guardian, error) {
	if len(c.Command) == 0 {
		return nil, nil
	}
	g := &Guardian{config: c, quit: make(chan struct{}), ended: make(chan struct{}), groups: make(map[int]bool)}
	first, err := g.begin()
	if err != nil {
		return nil, fmt.Errorf("guardian: %w", err)
	}
	go g.keep(first)
	return g, nil
}

// begin starts a process and sends it the orders in force.
func (g *Guardian) begin() (*guard, error) {
	d, err := startGuard(g.config.Command)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var all strings.Builder
	fmt.Fprintf(&all, "tree %s\n", g.config.Tree.ID)
	if dir := g.config.Tree.Cgroup; dir != "" {
		fmt.Fprintf(&all, "cgroup %s\n", dir)
	}
	for id := range g.groups {
		fmt.Fprintf(&all, "+%d\n", id)
	}
	d.send(all.String(), g.config.Waits)
	g.guard = d
	if g.end {
		g.finish()
	}
	return d, nil
}

// keep replaces guards that are lost, until Stop.
func (g *Guardian) keep(d *guard) {
	defer close(g.ended)
	var pause time.Duration
	var err error
	for {
		began := time.Now()
		if d != nil {
			err = d.wait()
		}
		g.mu.Lock()
		g.guard = nil
		g.mu.Unlock()
		if g.stopped(0) {
			return
		}
		g.config.Lost(fmt.Errorf("guardian: %w", err))
		if time.Since(began) > maxPause {
			pause = 0
		}
		if g.stopped(pause) {
			return
		}
		pause = nextPause(pause)
		d, err = g.begin()
	}
}

func nextPause(pause time.Duration) time.Duration {
	return min(max(2*pause, firstPause), maxPause)
}

// stopped waits for a call of Stop, at most for pause, and reports whether there was one.
func (g *Guardian) stopped(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-g.quit:
		return true
	case <-timer.C:
	}
	select {
	case <-g.quit: // both were ready
		return true
	default:
		return false
	}
}

// Watch tells the guardian of a process group that was launched.
func (g *Guardian) Watch(group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[group] = true
	g.guard.send(fmt.Sprintf("+%d\n", group), g.config.Waits)
}

// Forget tells the guardian that a process group has ended.
func (g *Guardian) Forget(group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, group)
	g.guard.send(fmt.Sprintf("-%d\n", group), g.config.Waits)
}

// Stop ends the guardian and waits for its end. All processes of the tree must have ended.
func (g *Guardian) Stop() {
	if g == nil {
		return
	}
	close(g.quit)
	g.mu.Lock()
	g.end = true
	g.finish()
	g.mu.Unlock()
	hangs := time.AfterFunc(g.config.Waits.Write, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.guard.kill(nil)
	})
	defer hangs.Stop()
	<-g.ended
}

// finish tells the guard to end. The caller holds g.mu.
func (g *Guardian) finish() {
	if g.guard != nil {
		g.guard.send("end\n", g.config.Waits)
		g.guard.pipe.Close()
	}
}

// guard is one guardian process and the pipe to it. A nil *guard is none. Calls of send must not
// overlap.
type guard struct {
	cmd    *exec.Cmd
	pipe   *os.File
	unread time.Time // when the pipe was last found empty

	mu  sync.Mutex
	why error // why it was killed
}

func startGuard(command []string) (*guard, error) {
	lines, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer lines.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = lines
	// It gets its own group, so that neither Ctrl-C nor a kill of the supervisor's group reaches
	// it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		pipe.Close()
		return nil, err
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// send writes lines. It kills a guard that does not read them, because one that missed lines could
// kill a group that is not the supervisor's.
func (d *guard) send(lines string, w Waits) {
	if d == nil {
		return
	}
	if now := time.Now(); pipeEmpty(d.pipe) {
		d.unread = now
	} else if now.Sub(d.unread) > w.Silence {
		d.kill(fmt.Errorf("it has read nothing for %v", w.Silence))
		return
	}
	_ = d.pipe.SetWriteDeadline(time.Now().Add(w.Write)) // never fails for an open pipe
	_, err := d.pipe.WriteString(lines)
	switch {
	case errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed): // it has ended; wait returns why
	case err != nil:
		d.kill(fmt.Errorf("it does not listen: %w", err))
	}
}

func (d *guard) kill(why error) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.why == nil {
		d.why = why
	}
	_ = d.cmd.Process.Kill() // fails only if it has ended
}

// wait waits until the guard has ended, and returns why. It closes the pipe only then, because a
// guard kills when its pipe ends.
func (d *guard) wait() error {
	err := d.cmd.Wait()
	d.pipe.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.why != nil {
		return d.why
	}
	if err == nil {
		return fmt.Errorf("it has ended: %v", d.cmd.ProcessState)
	}
	return fmt.Errorf("it has ended: %w", err)
}
