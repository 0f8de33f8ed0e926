//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

// unblockSignals does nothing here: there is no means to.
func unblockSignals() {}

// exitWatch sees the end of a process as it is reaped.
type exitWatch struct{}

// attr returns what a process must be started with to be watched. There is no
// parent-death signal here: the guardian alone prevents orphans.
func (w *exitWatch) attr(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func (w *exitWatch) abandon() {}

// wait calls ended when the process has ended and was reaped. A group that
// still has members keeps its ID; for an empty one, whose ID could be used
// anew in the instants before ended has killed it, Linux alone offers better.
func (w *exitWatch) wait(cmd *exec.Cmd, ended func()) error {
	err := cmd.Wait()
	ended()
	return err
}
