package supervisor

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// strayTime is how long the news of an exit waits until what the process
	// left behind is gone: it could hold the address that is needed next.
	strayTime = 100 * time.Millisecond

	// maxRemovePause is the longest time between two attempts to remove the
	// control group of an incarnation that has ended.
	maxRemovePause = time.Second

	// filesAtOnce bounds how many goroutines wait for the files of control
	// groups at a time, as each takes a thread when many replicas end at once.
	filesAtOnce = 4

	// strayLooks is how many looks at what a process left behind there are at
	// least: strayTime may pass without one while this process gets no
	// processor.
	strayLooks = 10

	// clearLooks bounds the looks for the rest of a whole tree, which take 10 s
	// or more.
	clearLooks = 1000
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
	inside   bool     // launches go into control groups
	reaper   *reaper  // nil: orphans are none of our business
	left     []cgroup // yet to be removed, as a process in them would not die

	removing sync.WaitGroup
	closing  context.Context
	stop     context.CancelFunc // ends closing
}

func newTree(cgroups bool) *tree {
	t := &tree{id: newTreeID(), files: make(chan struct{}, filesAtOnce)}
	t.closing, t.stop = context.WithCancel(context.Background())
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
	t.mu.Lock()
	t.stop()
	t.mu.Unlock()
	t.removing.Wait()
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
		err := b.cgroup.remove()
		<-b.tree.files
		if err != nil {
			b.tree.removeLater(b.cgroup)
		}
		b.cgroup = ""
	}
}

// removeLater removes a control group when the processes in it have died. What
// is still there at the end, close removes.
func (t *tree) removeLater(c cgroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Err() != nil {
		return
	}
	if t.left = append(t.left, c); len(t.left) == 1 {
		t.removing.Go(t.removeLeft)
	}
}

func (t *tree) removeLeft() {
	for pause := scanPause; t.closing.Err() == nil; pause = min(2*pause, maxRemovePause) {
		sleep(t.closing, pause)
		t.mu.Lock()
		t.left = slices.DeleteFunc(t.left, func(c cgroup) bool { return c.remove() == nil })
		done := len(t.left) == 0
		t.mu.Unlock()
		if done {
			return
		}
	}
}
