package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// guardianPatience bounds what a guardian that hangs (it was stopped, say) can
// cost: a write to its pipe, and the wait for its end.
const guardianPatience = time.Second

// Guard is the whole body of a guardian process, see [Supervisor.Guardian]. It
// reads lines from r, the read end of a pipe whose write end only the
// supervisor holds: "+ID" when a process group was launched, "-ID" when it has
// ended. At the end of r, which comes however the supervisor ended, it kills
// (SIGKILL) the groups still there, and returns. It ignores SIGINT, SIGTERM
// and SIGHUP from then on, as the supervisor needs it after those. It returns
// an error for lines it did not understand, which change nothing, and when r
// fails; the groups are killed then too.
func Guard(r io.Reader) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	groups, err := readGroups(r)
	for id := range groups {
		// It fails only for a group that has ended by itself meanwhile.
		_ = syscall.Kill(-id, syscall.SIGKILL)
	}
	return err
}

// readGroups returns the process groups registered at the end of r.
func readGroups(r io.Reader) (map[int]bool, error) {
	groups := make(map[int]bool)
	var bad []error
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			// What was read of an unfinished line may be half a number: not for us.
			if err != io.EOF {
				bad = append(bad, err)
			}
			return groups, errors.Join(bad...)
		}
		line = strings.TrimSuffix(line, "\n")
		id, err := strconv.ParseInt(line, 10, 32)
		switch {
		// Killing group 0 or 1 would be killing ourselves, or every process.
		case err != nil || -2 < id && id < 2:
			bad = append(bad, fmt.Errorf("guardian: line %q: want +ID or -ID of a process group, 2 or more", line))
		case id > 0:
			groups[int(id)] = true
		default:
			delete(groups, int(-id))
		}
	}
}

// guardian is the supervisor's end of a guardian process. Nil is none.
type guardian struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended and lost was told
	report sync.Once
	lost   func(error)

	mu   sync.Mutex
	pipe *os.File
	done bool // stop was called: its end is no loss
}

// startGuardian starts a command that runs Guard; lost is told at most once if
// it ends or hangs before stop. An empty command gives nil.
func startGuardian(command []string, lost func(error)) (*guardian, error) {
	if len(command) == 0 {
		return nil, nil
	}
	lines, pipe, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("supervisor: guardian: %w", err)
	}
	defer lines.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = lines
	// Its own group, so that neither Ctrl-C nor a kill of ours reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		pipe.Close()
		return nil, fmt.Errorf("supervisor: guardian: %w", err)
	}
	g := &guardian{cmd: cmd, ended: make(chan struct{}), lost: lost, pipe: pipe}
	go g.wait()
	return g, nil
}

func (g *guardian) wait() {
	defer close(g.ended)
	err := g.cmd.Wait()
	g.mu.Lock()
	done := g.done
	g.mu.Unlock()
	if !done {
		g.tell(fmt.Errorf("guardian ended: %v", exitOf(g.cmd.ProcessState, err)))
	}
}

func (g *guardian) tell(err error) { g.report.Do(func() { g.lost(err) }) }

func (g *guardian) watch(group int)  { g.write("+", group) }
func (g *guardian) forget(group int) { g.write("-", group) }

func (g *guardian) write(sign string, group int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	_ = g.pipe.SetWriteDeadline(time.Now().Add(guardianPatience)) // pipes have deadlines
	_, err := fmt.Fprintf(g.pipe, "%s%d\n", sign, group)
	g.mu.Unlock()
	if err != nil {
		g.tell(fmt.Errorf("guardian does not listen: %w", err))
		// It has missed a line now, and could kill a stranger's group.
		_ = g.cmd.Process.Kill()
	}
}

// stop ends the guardian, by the end of its input, and waits for that.
func (g *guardian) stop() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.done = true
	g.pipe.Close()
	g.mu.Unlock()
	hangs := time.AfterFunc(guardianPatience, func() { _ = g.cmd.Process.Kill() })
	defer hangs.Stop()
	<-g.ended
}
