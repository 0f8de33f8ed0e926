//go:build !linux

package supervisor

import (
	"os/exec"
	"sync/atomic"
	"syscall"
)

// tree is all processes that descend from launches of one supervisor. There is
// no means here to find those that left their groups.
type tree struct {
	id       treeID
	launches atomic.Int64
}

func newTree(bool) *tree {
	return &tree{id: newTreeID()}
}

func (t *tree) orders() string { return "tree " + string(t.id) + "\n" }
func (t *tree) close()         {}

// branch is the processes that descend from one launch.
type branch struct{ mark string }

func (t *tree) branch() *branch {
	return &branch{mark: t.id.mark(t.launches.Add(1))}
}

func (b *branch) start(build func() *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	cmd := build()
	return cmd, start(cmd)
}

// left returns 1 if the group of a leader that has ended is not empty.
func (b *branch) left(leader int) int {
	if syscall.Kill(-leader, 0) != nil {
		return 0
	}
	return 1
}

func (b *branch) processes(int) []int { return nil }

func (b *branch) kill(int) {}
func (b *branch) remove()  {}

// cgroup is what Linux alone has.
type cgroup string

// holds returns nil: who listens at an address cannot be known here.
func holds(string, []int) error { return nil }

func killTree(treeID, cgroup, int) {}
