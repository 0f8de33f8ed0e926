//go:build !linux

package process

import (
	"os/exec"

	"example.com/crashlab/supervisor/spec"
)

// rlimits is empty: these systems cannot set the limits of a process before its program begins.
var rlimits map[string]int

func (l limits) startStopped(cmd *exec.Cmd) error { return CheckLimits(spec.Limits(l)) }
