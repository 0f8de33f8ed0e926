package tree

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// strayTime is how long an exit waits for the end of the processes that were left behind,
	// because one of them could hold the address that is needed next.
	strayTime = 100 * time.Millisecond

	// maxTidyPause is the longest time between attempts to clean up after ended incarnations.
	maxTidyPause = time.Second

	// filesAtOnce limits how many goroutines access the files of control groups at a time. Each of
	// them takes a thread, and many replicas may end at once.
	filesAtOnce = 4

	// maxScans limits how often a whole tree is searched for remaining processes, which takes at
	// least 10 s in total.
	maxScans = 1000
)

// Tree is the processes that descend from the launches of one supervisor.
type Tree struct {
	id    string
	root  cgroup        // empty: none could be created
	files chan struct{} // has an element for each goroutine that accesses the files of a branch

	mu         sync.Mutex
	launches   int64
	useCgroups bool     // launches go into control groups
	reaper     *reaper  // nil: orphans do not become our children
	left       []Branch // ended incarnations with files or processes to remove

	tidying sync.WaitGroup
	closing context.Context
	stop    context.CancelFunc // ends closing
}

// New returns a tree without processes, which must be closed. Unless cgroups is set, it creates no
// control group.
func New(cgroups bool) *Tree {
	t := &Tree{id: RandomID(), files: make(chan struct{}, filesAtOnce)}
	t.closing, t.stop = context.WithCancel(context.Background())
	if cgroups {
		t.root, _ = makeCgroup(cgroupPrefix + t.id) // if this fails, marks are used
	}
	t.useCgroups = t.root != ""
	if !t.useCgroups || os.Getpid() == 1 {
		t.reaper = startReaper()
	}
	return t
}

// Handle returns what another process needs to kill the tree.
func (t *Tree) Handle() Handle { return Handle{t.id, string(t.root)} }

// Close kills what is left of the tree. All leaders must have ended.
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
	strays bool   // some processes may have survived Kill
}

// Branch returns a branch without processes, which must be removed.
func (t *Tree) Branch() *Branch {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.launches++
	b := &Branch{tree: t, mark: mark(t.id, t.launches)}
	if t.useCgroups {
		b.cgroup, _ = t.root.make(strconv.FormatInt(t.launches, 10)) // if this fails, the mark remains
	}
	return b
}

// Mark is the required end of Variable in the environment of the branch's first process.
func (b *Branch) Mark() string { return b.mark }

// Start starts a command inside the branch by calling start. It calls build for the command, and
// again if it has to retry without a control group. It does not retry if resources are lacking.
func (b *Branch) Start(build func() *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	if b.cgroup != "" {
		cmd, err := b.startInCgroup(build(), start)
		if err == nil || transient(err) {
			return cmd, err
		}
		b.Remove()
		b.cgroup = ""
	}
	return b.tree.startOutside(build(), start)
}

func (b *Branch) startInCgroup(cmd *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	dir, err := os.Open(string(b.cgroup))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	return cmd, start(cmd)
}

// transient reports whether a launch failed for a reason that has nothing to do with its control
// group, and that another attempt may not meet.
func transient(err error) bool {
	return slices.ContainsFunc([]error{unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.ENOMEM, unix.ETXTBSY}, func(reason error) bool {
		return errors.Is(err, reason)
	})
}

// startOutside starts a command without a control group. If that succeeds, no further launch uses
// one. Some sandboxes and delegations allow creating control groups, but not putting processes into
// them; a program that cannot be executed fails either way.
func (t *Tree) startOutside(cmd *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hadReaper := t.reaper != nil
	if !hadReaper {
		t.reaper = startReaper() // before the command can leave orphans
	}
	err := start(cmd)
	switch {
	case err == nil:
		t.useCgroups = false
	case !hadReaper && t.reaper != nil:
		t.reaper.close()
		t.reaper = nil
	}
	return cmd, err
}

// Kill kills what is left of the branch when its leader has ended, and waits for its end, at most
// for strayTime; Remove takes care of the rest. The leader's group must have been killed before,
// and the leader must not be reaped yet.
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

// KillCgroup sends SIGKILL to all processes in the control group of the branch, whoever their users
// are, and reports success. It fails if there is none.
func (b *Branch) KillCgroup() bool { return b.cgroup != "" && b.cgroup.kill() == nil }

// Left returns how many processes of the branch are still running, apart from its leader, which
// must have ended but not been reaped yet.
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

// Processes returns the IDs of the processes of the branch, as far as they can be found.
func (b *Branch) Processes(leader int) []int {
	if b.cgroup != "" {
		return b.cgroup.processes()
	}
	all := descendants(leader)
	left, _ := orphansOf(leader, b.mark)
	for _, pid := range left {
		all = append(all, descendants(pid)...)
	}
	return all
}

// Remove cleans up: it removes the branch's files, and kills processes that Kill did not find or
// that did not die in time. It does not wait for them. A probe may still call Holds.
func (b *Branch) Remove() {
	left := *b
	b.tree.files <- struct{}{}
	done := left.tidy()
	<-b.tree.files
	if !done {
		b.tree.tidyLater(left)
	}
}

// tidy removes what it can, and reports whether nothing is left.
func (b *Branch) tidy() bool {
	if b.strays {
		_, b.strays = killOrphansOnce(-1, b.mark, time.Now()) // the leader's ID may already be reused
	}
	if b.cgroup != "" && b.cgroup.remove() == nil {
		b.cgroup = ""
	}
	return b.cgroup == "" && !b.strays
}

// tidyLater calls tidy in the background until it succeeds, or Close takes care of the branch.
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
