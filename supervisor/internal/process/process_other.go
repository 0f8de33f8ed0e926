//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

// unblockSignals does nothing: these systems have no such call.
func unblockSignals() {}

// exitWatch notices the end of a process as it is reaped.
type exitWatch struct {
	bySignal bool // set before ended is called
}

// attr returns the attributes with which the process must be started. These systems have no
// parent-death signal; only the guardian prevents orphans.
func (w *exitWatch) attr(bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func (w *exitWatch) abandon() {}

// wait calls ended when the process has ended and was reaped. A group that still has members keeps
// its ID. The ID of an empty group could be reused just before ended kills it; only Linux offers a
// way to prevent that.
func (w *exitWatch) wait(cmd *exec.Cmd, ended func()) error {
	err := cmd.Wait()
	w.bySignal = exitOf(cmd.ProcessState, err).Signal != 0
	ended()
	return err
}
