package tree

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

// Tree is all processes that descend from the launches of one supervisor.
type Tree struct {
	id    string
	root  cgroup        // empty: none could be made
	files chan struct{} // holds one element per goroutine at the files of a branch

	mu       sync.Mutex
	launches int64
	inside   bool     // launches go into control groups
	reaper   *reaper  // nil: orphans are none of our business
	left     []Branch // of incarnations that have ended, with processes that would not die in time

	tidying sync.WaitGroup
	closing context.Context
	stop    context.CancelFunc // ends closing
}

// New returns a tree without processes. Close must be called. Without cgroups,
// no control group is made.
func New(cgroups bool) *Tree {
	t := &Tree{id: RandomID(), files: make(chan struct{}, filesAtOnce)}
	t.closing, t.stop = context.WithCancel(context.Background())
	if cgroups {
		t.root, _ = makeCgroup(cgroupPrefix + t.id) // without, it goes on as told above
	}
	t.inside = t.root != ""
	if !t.inside || os.Getpid() == 1 {
		t.reaper = startReaper()
	}
	return t
}

// Handle returns what another process needs to kill the tree.
func (t *Tree) Handle() Handle { return Handle{t.id, string(t.root)} }

// Close kills what is left of the tree when all its leaders have ended.
func (t *Tree) Close() {
	t.mu.Lock()
	t.stop()
	t.mu.Unlock()
	t.tidying.Wait()
	t.Handle().Kill(1)
	if t.reaper != nil {
		t.reaper.close()
	}
}

// Branch is the processes that descend from one launch.
type Branch struct {
	tree   *Tree
	mark   string
	cgroup cgroup // empty: none
	strays bool   // some may live on though they were to be killed
}

// Branch returns a branch without processes. Remove must be called.
func (t *Tree) Branch() *Branch {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.launches++
	b := &Branch{tree: t, mark: mark(t.id, t.launches)}
	if t.inside {
		b.cgroup, _ = t.root.make(strconv.FormatInt(t.launches, 10)) // without, there is the mark
	}
	return b
}

// Mark is what Variable must end with in the environment of the branch's first
// process.
func (b *Branch) Mark() string { return b.mark }

// Start starts the command that build returns, inside the branch, by the
// function start.
func (b *Branch) Start(build func() *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	if b.cgroup != "" {
		cmd, err := b.startInside(build(), start)
		if err == nil {
			return cmd, nil
		}
		b.Remove()
	}
	cmd := build()
	err := start(cmd)
	if err == nil {
		b.tree.goOutside()
	}
	return cmd, err
}

func (b *Branch) startInside(cmd *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
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
func (t *Tree) goOutside() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside = false
	if t.reaper == nil {
		t.reaper = startReaper()
	}
}

// Kill kills what is left of the branch when its leader has ended, and waits
// for at most strayTime until it is gone; Remove sees to the rest. The leader's
// group must have been killed, and its ID not be free yet.
func (b *Branch) Kill(leader int) {
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

// Left returns how many processes of the branch still run when its leader, which
// does not count, has ended and is not reaped yet.
func (b *Branch) Left(leader int) int {
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

// Processes returns the IDs of those of the branch, as far as they can be found.
func (b *Branch) Processes(leader int) []int {
	if b.cgroup != "" {
		return b.cgroup.processes()
	}
	left, _ := orphansOf(leader, b.mark)
	return append(descendants(leader), left...)
}

// Remove clears up what the branch has left: its files, and processes that
// were not found, or would not die, in time. It waits for none of them. A probe
// may still look at the branch.
func (b *Branch) Remove() {
	left := *b
	b.tree.files <- struct{}{}
	done := left.tidy()
	<-b.tree.files
	if !done {
		b.tree.tidyLater(left)
	}
}

// tidy reports whether nothing is left.
func (b *Branch) tidy() bool {
	if b.strays {
		_, b.strays = killOrphansOnce(-1, b.mark, time.Now()) // its leader's ID may be another's by now
	}
	if b.cgroup != "" && b.cgroup.remove() == nil {
		b.cgroup = ""
	}
	return b.cgroup == "" && !b.strays
}

// tidyLater tries again until a branch is tidy, or Close sees to all.
func (t *Tree) tidyLater(b Branch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing.Err() != nil {
		return
	}
	if t.left = append(t.left, b); len(t.left) == 1 {
		t.tidying.Go(t.tidyLeft)
	}
}

func (t *Tree) tidyLeft() {
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
