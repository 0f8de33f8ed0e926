package supervisor

import (
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

const (
	// strayTime is how long the news of an exit waits until what the process
	// left behind is gone: it could hold the address that is needed next.
	strayTime = 100 * time.Millisecond

	// filesAtOnce bounds how many goroutines wait for the files of control
	// groups at a time, as each takes a thread when many replicas end at once.
	filesAtOnce = 4

	// clearTime bounds how long the rest of a whole tree is hunted.
	clearTime = 10 * time.Second
)

// tree is all processes that descend from launches of one supervisor, those
// that left their groups too. A control group holds them. Where none can be
// had, they are found by their marks, among the orphans that become our
// children.
type tree struct {
	id    treeID
	root  cgroup        // empty: none could be made
	files chan struct{} // holds one element per goroutine at the files of a branch

	mu       sync.Mutex
	launches int64
	inside   bool    // launches go into control groups
	reaper   *reaper // nil: orphans are none of our business
}

func newTree(cgroups bool) *tree {
	t := &tree{id: newTreeID(), files: make(chan struct{}, filesAtOnce)}
	if cgroups {
		t.root, _ = makeCgroup(cgroupPrefix + string(t.id)) // without, it goes on as told above
	}
	t.inside = t.root != ""
	if !t.inside || os.Getpid() == 1 {
		t.reaper = startReaper()
	}
	return t
}

// orders are what a guardian must know to kill the tree.
func (t *tree) orders() string {
	o := "tree " + string(t.id) + "\n"
	if t.root != "" {
		o += "cgroup " + string(t.root) + "\n"
	}
	return o
}

// close kills what is left of the tree when all its leaders have ended.
func (t *tree) close() {
	killTree(t.id, t.root, 1)
	if t.reaper != nil {
		t.reaper.close()
	}
}

// branch is the processes that descend from one launch.
type branch struct {
	tree   *tree
	mark   string
	cgroup cgroup // empty: none
}

func (t *tree) branch() *branch {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.launches++
	b := &branch{tree: t, mark: t.id.mark(t.launches)}
	if t.inside {
		b.cgroup, _ = t.root.make(strconv.FormatInt(t.launches, 10)) // without, there is the mark
	}
	return b
}

// start starts the command that build returns, inside the branch, by the
// function start.
func (b *branch) start(build func() *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	if b.cgroup != "" {
		cmd, err := b.startInside(build(), start)
		if err == nil {
			return cmd, nil
		}
		b.remove()
	}
	cmd := build()
	err := start(cmd)
	if err == nil {
		b.tree.goOutside()
	}
	return cmd, err
}

func (b *branch) startInside(cmd *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	dir, err := os.Open(string(b.cgroup))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	return cmd, start(cmd)
}

// goOutside ends the use of control groups: some sandboxes and delegations let
// us make them, but put nobody in. A launch that works without tells those
// from a program that cannot be executed.
func (t *tree) goOutside() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside = false
	if t.reaper == nil {
		t.reaper = startReaper()
	}
}

// kill kills what is left of the branch when its leader has ended, and waits
// for at most strayTime until it is gone. The leader's group must have been
// killed, and its ID not be free yet.
func (b *branch) kill(leader int) {
	if b.cgroup == "" {
		killOrphans(leader, b.mark, time.Now().Add(strayTime))
		return
	}
	b.tree.files <- struct{}{}
	left := b.cgroup.populated()
	<-b.tree.files
	if left {
		b.cgroup.empty(strayTime)
	}
}

// remove removes what the branch has in the file system.
func (b *branch) remove() {
	if b.cgroup != "" {
		b.tree.files <- struct{}{}
		_ = b.cgroup.remove() // for a process that will not die yet, close tries again
		<-b.tree.files
		b.cgroup = ""
	}
}
