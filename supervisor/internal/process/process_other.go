//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

// unblockSignals does nothing: these systems have no call for it.
func unblockSignals() {}

// exitWatch sees the end of a process as it is reaped.
type exitWatch struct {
	bySignal bool // what the process ended by, from then on
}

// attr returns the attributes with which a process must be started to be watched.
// There is no parent-death signal on these systems: the guardian alone prevents
// orphans.
func (w *exitWatch) attr(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func (w *exitWatch) abandon() {}

// wait calls ended when the process has ended and was reaped. A group that still
// has members keeps its ID. That of an empty group could be reused in the instant
// before ended kills it; only Linux has a means against that.
func (w *exitWatch) wait(cmd *exec.Cmd, ended func()) error {
	err := cmd.Wait()
	w.bySignal = exitOf(cmd.ProcessState, err).Signal != 0
	ended()
	return err
}
