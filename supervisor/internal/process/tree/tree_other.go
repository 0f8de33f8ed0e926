//go:build !linux

package tree

import (
	"os/exec"
	"sync/atomic"
	"syscall"
)

// Tree is the processes that descend from the launches of one supervisor. On these systems, those
// that left their groups cannot be found.
type Tree struct {
	id       string
	launches atomic.Int64
}

// New returns a tree without processes.
func New(bool) *Tree { return &Tree{id: RandomID()} }

// Handle returns what another process needs to kill the tree.
func (t *Tree) Handle() Handle { return Handle{ID: t.id} }

// Close does nothing on these systems.
func (t *Tree) Close() {}

// Kill does nothing on these systems: only process groups are known.
func (h Handle) Kill(int) {}

// Branch is the processes that descend from one launch.
type Branch struct{ mark string }

// Branch returns a branch without processes.
func (t *Tree) Branch() *Branch { return &Branch{mark: mark(t.id, t.launches.Add(1))} }

// Mark is the required end of Variable in the environment of the branch's first process.
func (b *Branch) Mark() string { return b.mark }

// Start starts a command by calling start with the result of build.
func (b *Branch) Start(build func() *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	cmd := build()
	return cmd, start(cmd)
}

// Left returns 1 if the group of a leader that has ended is not empty.
func (b *Branch) Left(leader int) int {
	if syscall.Kill(-leader, 0) != nil {
		return 0
	}
	return 1
}

// Processes returns nil, because the processes of a branch cannot be found.
func (b *Branch) Processes(int) []int { return nil }

// Holds returns nil, because it cannot be determined which process listens at an address.
func (b *Branch) Holds(int, string) error { return nil }

// Kill does nothing on these systems.
func (b *Branch) Kill(int) {}

// KillCgroup returns false, because there are no control groups.
func (b *Branch) KillCgroup() bool { return false }

// Remove does nothing on these systems.
func (b *Branch) Remove() {}
