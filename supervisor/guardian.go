package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// guardianPatience bounds what a guardian that hangs (it was stopped, say)
	// can cost: a write to its pipe, and the wait for its end.
	guardianPatience = time.Second

	// guardianSilence is how long a guardian that works may leave what it is
	// told unread.
	guardianSilence = 5 * time.Second

	// The first guardian that is lost is replaced at once, the next ones after
	// pauses that double, until one has lived for longer than the longest.
	guardianPause    = 100 * time.Millisecond
	guardianMaxPause = time.Minute
)

// guardian is the supervisor's end of guardian processes, one at a time. Nil
// is none.
type guardian struct {
	command []string
	preface string // what each process is told first
	lost    func(error)
	waits   waits
	quit    chan struct{} // closed by stop
	ended   chan struct{} // closed when the last process has ended

	mu     sync.Mutex
	groups map[int]bool // those that run
	guard  *guard       // nil between two
	end    bool         // stop was called
}

// startGuardian starts a command that runs Guard, and another when it ends or
// hangs before stop; lost is told of each such time, and of each command that
// could not be started then, one call at a time. An empty command gives nil.
func startGuardian(command []string, preface string, w waits, lost func(error)) (*guardian, error) {
	if len(command) == 0 {
		return nil, nil
	}
	g := &guardian{
		command: command, preface: preface, lost: lost, waits: w,
		quit: make(chan struct{}), ended: make(chan struct{}), groups: make(map[int]bool),
	}
	first, err := g.begin()
	if err != nil {
		return nil, fmt.Errorf("supervisor: guardian: %w", err)
	}
	go g.keep(first)
	return g, nil
}

// begin starts a process and tells it all that it must know.
func (g *guardian) begin() (*guard, error) {
	d, err := startGuard(g.command)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var all strings.Builder
	all.WriteString(g.preface)
	for id := range g.groups {
		fmt.Fprintf(&all, "+%d\n", id)
	}
	d.tell(all.String(), g.waits)
	g.guard = d
	if g.end {
		g.finish()
	}
	return d, nil
}

// keep replaces guards that are lost.
func (g *guardian) keep(d *guard) {
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
		g.lost(fmt.Errorf("guardian: %w", err))
		if time.Since(began) > guardianMaxPause {
			pause = 0
		}
		if g.stopped(pause) {
			return
		}
		pause = longer(pause)
		d, err = g.begin()
	}
}

func longer(pause time.Duration) time.Duration {
	return min(max(2*pause, guardianPause), guardianMaxPause)
}

// stopped waits for a pause, unless stop was called, which it reports.
func (g *guardian) stopped(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-g.quit:
		return true
	case <-timer.C:
	}
	select {
	case <-g.quit: // both were true
		return true
	default:
		return false
	}
}

func (g *guardian) watch(group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[group] = true
	g.guard.tell(fmt.Sprintf("+%d\n", group), g.waits)
}

func (g *guardian) forget(group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, group)
	g.guard.tell(fmt.Sprintf("-%d\n", group), g.waits)
}

// stop ends the guardian, by the end of its input, and waits for that. All
// that it was told of must have ended.
func (g *guardian) stop() {
	if g == nil {
		return
	}
	close(g.quit)
	g.mu.Lock()
	g.end = true
	g.finish()
	g.mu.Unlock()
	hangs := time.AfterFunc(g.waits.guardian, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.guard.kill(nil)
	})
	defer hangs.Stop()
	<-g.ended
}

// finish lets the guard end.
func (g *guardian) finish() {
	if g.guard != nil {
		g.guard.tell("end\n", g.waits)
		g.guard.pipe.Close()
	}
}

// guard is one guardian process and the pipe to it. Nil is none. Calls of tell
// must not overlap.
type guard struct {
	cmd    *exec.Cmd
	pipe   *os.File
	unread time.Time // since when the pipe was never found empty

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
	// Its own group, so that neither Ctrl-C nor a kill of ours reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		pipe.Close()
		return nil, err
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// tell writes lines, or kills a guard that does not read them: it has missed
// some, and could kill a stranger's group.
func (d *guard) tell(lines string, w waits) {
	if d == nil {
		return
	}
	if now := time.Now(); pipeEmpty(d.pipe) {
		d.unread = now
	} else if now.Sub(d.unread) > w.silence {
		d.kill(fmt.Errorf("it has read nothing for %v", w.silence))
		return
	}
	_ = d.pipe.SetWriteDeadline(time.Now().Add(w.guardian)) // pipes have deadlines
	_, err := d.pipe.WriteString(lines)
	switch {
	case errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed): // it has ended, as wait tells
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
	_ = d.cmd.Process.Kill() // unless it has ended already
}

// wait waits until the guard has ended, and returns why. The pipe is closed
// only then: a guard that sees its end kills.
func (d *guard) wait() error {
	err := d.cmd.Wait()
	d.pipe.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.why != nil {
		return d.why
	}
	return fmt.Errorf("it has ended: %v", exitOf(d.cmd.ProcessState, err))
}
