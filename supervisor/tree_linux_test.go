package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/output"
)

// eachTree runs a test with control groups, where they can be had, and without.
func eachTree(t *testing.T, test func(t *testing.T, noCgroup bool)) {
	t.Run("control group", func(t *testing.T) {
		needsCgroup(t)
		test(t, false)
	})
	t.Run("marks", func(t *testing.T) { test(t, true) })
}

func needsCgroup(t *testing.T) {
	t.Helper()
	c, err := makeCgroup(cgroupPrefix + "test-" + string(newTreeID()))
	if err != nil {
		t.Skip("no control group version 2 that may be divided: ", err)
	}
	if err := c.remove(); err != nil {
		t.Error(err)
	}
}

// needsPidfds skips a test of what a system without them cannot do.
func needsPidfds(t *testing.T) {
	t.Helper()
	if !waitsByPidfd() {
		t.Skip("no pidfds that can be waited for")
	}
}

func TestStraysEndWithTheReplica(t *testing.T) {
	for _, mode := range []string{"runaway", "daemon"} {
		t.Run(mode, func(t *testing.T) {
			eachTree(t, func(t *testing.T, noCgroup bool) {
				stray := child(mode, as("deaf")...)
				stray.StopTimeout = time.Millisecond
				s := one(stray, later)
				s.noCgroup = noCgroup
				r := start(t, s)
				var pid, left int
				if mode == "daemon" { // which lingers; a runaway ends by itself
					r.line("a up 1 %d", &left)
					pid = r.event(EventLaunched, 1).PID
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				r.event(EventExited, 1)
				if mode == "runaway" {
					r.line("a child %d", &left)
				}
				waitDead(t, left) // not later than Run's end, which waits for more
			})
		})
	}
}

func TestStraysOfOthersAreSpared(t *testing.T) {
	eachTree(t, func(t *testing.T, noCgroup bool) {
		s := many(2, later, func(int) []string { return as("daemon", as("serve")...) })
		replica := s.Groups[0].Replica
		s.Groups[0].Replica = func(i int) Replica { r := replica(i); r.StopTimeout = time.Millisecond; return r }
		s.noCgroup = noCgroup
		r := start(t, s)
		var spared, killed int
		r.line("a up 1 %d", &spared)
		r.line("b up 1 %d", &killed)
		r.until("launches", func() bool { return r.has(EventLaunched, "a") && r.has(EventLaunched, "b") })
		status, err := r.Get("b")
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(status.PID, syscall.SIGKILL)
		r.until("exit of b", func() bool { return r.has(EventExited, "b") })
		waitDead(t, killed)
		if !alive(spared) {
			t.Error("the stray of a replica that runs was killed with that of another")
		}
		r.stop()
		r.ends()
		waitDead(t, spared) // it was killed, and may take a moment to die
	})
}

// strangers returns our orphans without those that were launched here.
func strangers() []int {
	held := heldProcesses()
	return slices.DeleteFunc(orphans(), func(pid int) bool { return held[pid] })
}

// playFirst is the process with ID 1, and says when a replica's orphans were reaped.
func playFirst() {
	ctx, cancel := context.WithCancel(context.Background())
	const script = "for i in 1 2 3 4 5 6 7 8 9; do (setsid true &); done; echo done; exec sleep 300"
	s := one(Replica{Args: []string{"/bin/sh", "-c", script}}, Policy{})
	s.OnOutput = func(string, []byte) {
		for len(strangers()) > 0 { // zombies are among them until they are reaped
			time.Sleep(time.Millisecond)
		}
		fmt.Println("reaped", os.Getpid())
		cancel()
	}
	if err := run(ctx, s); err != nil {
		panic(err)
	}
}

// playForkFirst forks from the first thread, to which orphans come as well.
func playForkFirst() {
	m := &machine{tree: newTree(false), output: output.NewHub(nil, nil, 0), forks: make(chan func())}
	go func() {
		for n := range 20 {
			p, err := m.launch(context.Background(), placed{Replica: Replica{Name: "a", Args: []string{"/bin/sh", "-c", "exit 7"}}}, n)
			if err != nil {
				panic(err)
			}
			fmt.Println(<-p.ended())
		}
		close(m.forks)
	}()
	m.forkAll()
}

func init() {
	parts["first"], parts["fork first"] = playFirst, playForkFirst
	if os.Getenv(childMode) == "fork first" {
		runtime.LockOSThread() // the first thread, as this is an init
	}
}

func TestLaunchFromTheFirstThreadIsNoOrphan(t *testing.T) {
	args := as("fork first")
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil || strings.Count(string(out), "exit code 7") != 20 {
		t.Errorf("the exits are told as %s, %v", out, err)
	}
}

func TestFirstProcessLeavesNoZombies(t *testing.T) {
	needs(t, "unshare", "setsid")
	unshare := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs process namespaces of its own: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "unshare", append(unshare, as("first")...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want(t, string(out), "reaped 1\n")
}

// Neither the first thread's own children nor those of other threads are
// taken from package os/exec, while orphans leave no zombies.
func TestOrphansAreReaped(t *testing.T) {
	needs(t, "setsid")
	needsPidfds(t)
	s := one(Replica{Args: []string{"/bin/sh", "-c", "(setsid sh -c 'echo orphan' &); sleep 300"}}, later)
	s.noCgroup = true
	r := start(t, s)
	r.line("a orphan")
	eventually(t, "end of the zombie", func() bool { return len(strangers()) == 0 })
	for range 50 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHeldProcesses(t *testing.T) {
	needsPidfds(t)
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if pid := cmd.Process.Pid; !heldProcesses()[pid] {
		t.Errorf("process %d, which has a waiter, is free to be reaped", pid)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if pid := cmd.Process.Pid; heldProcesses()[pid] {
		t.Errorf("process %d is still held when it was waited for", pid)
	}
}

// A control group that nobody may be put in shows at the first launch only.
func TestLaunchWhereControlGroupsRefuse(t *testing.T) {
	m, err := newMachine(Config{}, output.NewHub(nil, nil, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	_ = m.tree.root.remove()
	m.tree.root, m.tree.inside = cgroup(t.TempDir()), true
	_, err = m.launch(t.Context(), placed{Replica: Replica{Name: "a", Args: []string{"/no/such/program"}}}, 1)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	if !m.tree.inside {
		t.Error("a missing program has ended the use of control groups")
	}
	p, err := m.launch(t.Context(), placed{Replica: Replica{Name: "a", Args: []string{"/bin/sh", "-c", "exit 7"}}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if end := <-p.ended(); end.Code != 7 || m.tree.inside {
		t.Errorf("%v, control groups still in use: %v", end.Exit, m.tree.inside)
	}
}

func TestFindCgroup(t *testing.T) {
	const hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n"
	for _, tt := range []struct{ name, groups, mounts, want string }{
		{"hybrid", "8:pids:/x\n0::/\n", hybrid, "/sys/fs/cgroup/unified"},
		{"below", "0::/user.slice/my.service\n", hybrid, "/sys/fs/cgroup/unified/user.slice/my.service"},
		{"no version 2", "8:pids:/x\n", hybrid, ""},
		{"not mounted", "0::/x\n", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", ""},
		{"a part is mounted", "0::/docker/1/x\n", "41 31 0:38 /docker/1 /cg rw - cgroup2 cgroup2 rw\n", "/cg/x"},
		{"another part is mounted", "0::/docker/1/x\n", "41 31 0:38 /docker/2 /cg rw - cgroup2 cgroup2 rw\n", ""},
		{"outside our namespace", "0::/../x\n", hybrid, ""},
		{"a name with a space", "0::/x\n", "41 31 0:38 / /my\\040cg rw - cgroup2 cgroup2 rw\n", "/my cg/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findCgroup(tt.groups, tt.mounts)
			if string(got) != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// Incarnations leave nothing: they end with strays, a socket and limits.
func TestNothingPilesUp(t *testing.T) {
	needs(t, "setsid")
	eachTree(t, func(t *testing.T, noCgroup bool) {
		m, err := newMachine(Config{noCgroup: noCgroup, Guardian: as("guard"), waits: &patient}, output.NewHub(nil, nil, 0), func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		crash := Replica{
			Name: "a", Args: []string{"/bin/sh", "-c", "setsid sleep 300 & exit 1"},
			Ready: Probe{Kind: ProbeNotify},
		}
		if canLimit() == nil {
			crash.Limits.Nice = 1
		}
		missing, refused := crash, crash
		missing.Args = []string{"/no/such"}
		refused.Limits = Limits{Rlimits: map[string]Rlimit{"nofile": {1, Unlimited}}}
		launch := func(times int) {
			for range times {
				p, err := m.launch(t.Context(), placed{Replica: crash}, 1)
				if err != nil {
					t.Fatal(err)
				}
				endOf(p)
				for _, r := range []Replica{missing, refused} {
					if _, err := m.launch(t.Context(), placed{Replica: r}, 1); err == nil {
						t.Fatalf("%v was launched", r)
					}
				}
			}
		}
		noStrays := func() bool {
			strays, _ := withMark(string(m.tree.id) + "-")
			return len(strays) == 0
		}
		launch(3) // the first ones open what is opened once
		m.reading.Wait()
		before := counts(t)
		launch(40)
		eventually(t, "end of the strays", noStrays)
		m.reading.Wait()
		eventually(t, "end of what came later", func() bool {
			now := counts(t)
			return now[0] <= before[0] && now[1] <= before[1]
		})
		if m.tree.root != "" {
			eventually(t, "removal of the control groups", func() bool {
				entries, err := os.ReadDir(string(m.tree.root))
				return err == nil && !slices.ContainsFunc(entries, fs.DirEntry.IsDir)
			})
		}
	})
}

// counts returns how many descriptors and goroutines there are.
func counts(t *testing.T) []int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return []int{len(fds), runtime.NumGoroutine()}
}

// Whoever runs a supervisor has no orphans to care for once that has ended.
func TestSubreaperOnlyWhileRunning(t *testing.T) {
	needsPidfds(t)
	s := one(Replica{Args: []string{"true"}}, Policy{Restart: RestartNever})
	s.noCgroup = true
	during := int32(-1)
	s.OnEvent = func(e Event) {
		if e.Kind == EventLaunched {
			during = subreaper(t)
		}
	}
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if after := subreaper(t); during != 1 || after != 0 {
		t.Errorf("subreaper %d during Run, %d after: want 1 and 0", during, after)
	}
}

func subreaper(t *testing.T) (is int32) {
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&is)), 0, 0, 0); err != nil {
		t.Error(err)
	}
	return is
}
