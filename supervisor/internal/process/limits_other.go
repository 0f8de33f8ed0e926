//go:build !linux

package process

import "os/exec"

// rlimits is empty: these systems have no means to set the limits of a process
// before its program begins.
var rlimits map[string]int

func (l Limits) startStopped(cmd *exec.Cmd) error { return l.Check() }
