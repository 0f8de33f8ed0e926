package supervisor

import (
	"context"
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

	// maxTidyPause is the longest time between two attempts to clear up what
	// incarnations that ended have left.
	maxTidyPause = time.Second

	// filesAtOnce bounds how many goroutines wait for the files of control
	// groups at a time, as each takes a thread when many replicas end at once.
	filesAtOnce = 4

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
	left     []branch // of incarnations that have ended, with processes that would not die in time

	tidying sync.WaitGroup
	closing context.Context
	stop    context.CancelFunc // ends closing
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
	t.tidying.Wait()
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
	strays bool   // some may live on though they were to be killed
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
// for at most strayTime until it is gone; remove sees to the rest. The leader's
// group must have been killed, and its ID not be free yet.
func (b *branch) kill(leader int) {
	if b.cgroup == "" {
		b.strays = !killOrphans(leader, b.mark, time.Now().Add(strayTime))
		return
	}
	b.tree.files <- struct{}{}
	left := b.cgroup.populated()
	<-b.tree.files
	if left {
		b.cgroup.empty(strayTime)
	}
}

// left returns how many processes of the branch run on when its leader, which
// does not count, has ended and is not reaped yet.
func (b *branch) left(leader int) int {
	if b.cgroup != "" {
		b.tree.files <- struct{}{}
		defer func() { <-b.tree.files }()
		if !b.cgroup.populated() {
			return 0
		}
		return len(b.cgroup.processes())
	}
	pids, unsure := orphansOf(leader, b.mark)
	return len(pids) + unsure
}

// processes returns those of the branch, as far as they can be found.
func (b *branch) processes(leader int) []int {
	if b.cgroup != "" {
		return b.cgroup.processes()
	}
	left, _ := orphansOf(leader, b.mark)
	return append(descendants(leader), left...)
}

// remove clears up what the branch has left: its files, and processes that
// were not found, or would not die, in time. It waits for none of them. A probe
// may still look at the branch.
func (b *branch) remove() {
	left := *b
	b.tree.files <- struct{}{}
	done := left.tidy()
	<-b.tree.files
	if !done {
		b.tree.tidyLater(left)
	}
}

// tidy reports whether nothing is left.
func (b *branch) tidy() bool {
	if b.strays {
		_, b.strays = killOrphansOnce(-1, b.mark, time.Now()) // its leader's ID may be another's by now
	}
	if b.cgroup != "" && b.cgroup.remove() == nil {
		b.cgroup = ""
	}
	return b.cgroup == "" && !b.strays
}

// tidyLater tries again until a branch is tidy, or close sees to all.
func (t *tree) tidyLater(b branch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Err() != nil {
		return
	}
	if t.left = append(t.left, b); len(t.left) == 1 {
		t.tidying.Go(t.tidyLeft)
	}
}

func (t *tree) tidyLeft() {
	for pause := scanPause; t.closing.Err() == nil; pause = min(2*pause, maxTidyPause) {
		sleep(t.closing, pause)
		t.mu.Lock()
		left := t.left[:0]
		for _, b := range t.left {
			if !b.tidy() {
				left = append(left, b)
			}
		}
		t.left = left
		t.mu.Unlock()
		if len(left) == 0 {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
