//go:build !linux

package supervisor

import (
	"os/exec"
	"sync/atomic"
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

func (b *branch) kill(int) {}
func (b *branch) remove()  {}

// cgroup is what Linux alone has.
type cgroup string

func killTree(treeID, cgroup, int) {}
