package supervisor

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const someID = "0123456789abcdef0123456789abcdef"

func TestReadOrders(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        string
		bad         bool
	}{
		{"nothing", "", "[]", false},
		{"launched and ended", "+12\n+13\n-12\n", "[13]", false},
		{"an unfinished line", "+12\n+1", "[12]", false},
		{"every process", "+1\n+0\n-1\n+12\n", "[12]", true},
		{"every process after a cut to 32 bits", "+4294967297\n", "[]", true},
		{"no number", "+12\nhello\n\n", "[12]", true},
		{"an orderly end", "tree " + someID + "\nend\n", "[] " + someID + " end", false},
		{"a control group", "cgroup /x/supervisor-1\n", "[] /x/supervisor-1", false},
		{"no orderly end", "tree " + someID + "\nend", "[] " + someID, false},
		{"an ID that strangers may hold", "tree abcd\n", "[]", true},
		{"no ID", "tree \n", "[]", true},
		{"a stranger's control group", "cgroup /sys/fs/cgroup\n", "[]", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := readOrders(strings.NewReader(tt.input))
			got := fmt.Sprint(slices.Sorted(maps.Keys(o.groups)))
			for _, word := range []string{string(o.tree), string(o.cgroup)} {
				if word != "" {
					got += " " + word
				}
			}
			if o.end {
				got += " end"
			}
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("got %s, %v; want %s, an error: %v", got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestLostGuardianIsReplaced(t *testing.T) {
	// Each guardian keeps what it is told in a file of its own.
	told := t.TempDir()
	s := one(child("serve"), Policy{})
	s.Guardian = []string{"/bin/sh", "-c", `echo $$ > "$0/new"; mv "$0/new" "$0/pid"; exec cat > "$0/$$"`, told}
	r := start(t, s)
	r.line("a up 1")
	leader := r.event(EventLaunched, 1).PID
	first := guardianPID(t, told, 0)
	_ = syscall.Kill(first, syscall.SIGKILL)
	r.until("guardian lost", func() bool {
		return slices.ContainsFunc(r.events, func(e Event) bool {
			return e.Kind == EventGuardianLost && e.Replica == "" && strings.Contains(fmt.Sprint(e.Err), "SIGKILL")
		})
	})
	second := filepath.Join(told, strconv.Itoa(guardianPID(t, told, first)))
	eventually(t, "replica at the second guardian", func() bool {
		got, err := os.ReadFile(second)
		return err == nil && strings.Contains(string(got), fmt.Sprintf("+%d\n", leader))
	})
	r.stop()
	r.ends()
	got, err := os.ReadFile(second)
	if want := fmt.Sprintf("+%d\n-%[1]d\nend\n", leader); err != nil || !strings.HasPrefix(string(got), "tree ") ||
		!strings.HasSuffix(string(got), want) {
		t.Errorf("the second guardian was told %q, %v; want the tree, and %q", got, err, want)
	}
}

// guardianPID waits for the ID that a guardian other than old has left.
func guardianPID(t *testing.T, dir string, old int) int {
	t.Helper()
	pid := 0
	eventually(t, "new guardian", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid != 0 && pid != old
	})
	return pid
}

func TestPausesBetweenGuardians(t *testing.T) {
	var pause time.Duration
	var all []string
	for range 13 {
		all = append(all, pause.String())
		pause = longer(pause)
	}
	want(t, strings.Join(all, " "), "0s 100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 12.8s 25.6s 51.2s 1m0s 1m0s")
}

func TestHungGuardianIsLost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only a full pipe tells here")
	}
	lost := make(chan error, 100)
	w := patient
	w.silence = 50 * time.Millisecond
	g, err := startGuardian(as("guard"), "", w, func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer g.stop()
	g.mu.Lock()
	pid := g.guard.cmd.Process.Pid
	g.mu.Unlock()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	const noGroup = 1 << 30 // beyond all process IDs
	eventually(t, "loss of the guardian", func() bool {
		g.watch(noGroup)
		return len(lost) > 0
	})
	if err := <-lost; !strings.Contains(err.Error(), "read nothing") {
		t.Error(err)
	}
}

func TestGuardianEndsWithRun(t *testing.T) {
	s := one(child("exit", "0"), Policy{Restart: RestartNever})
	s.Guardian = as("guard")
	r := start(t, s)
	r.ends()
	for _, e := range r.events {
		if e.Kind == EventGuardianLost {
			t.Errorf("event %+v at a normal end", e)
		}
	}
}

func TestGuardianIsToldOfEachGroup(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	s := one(child("exit", "0"), Policy{})
	s.Guardian = []string{"/bin/sh", "-c", `cat > "$0"`, told}
	r := start(t, s)
	r.event(EventExited, 2)
	r.stop()
	r.ends()
	var want string
	for _, e := range r.events {
		if e.Kind == EventLaunched {
			want += fmt.Sprintf("+%d\n-%[1]d\n", e.PID)
		}
	}
	want += "end\n"
	if got, err := os.ReadFile(told); !strings.HasPrefix(string(got), "tree ") || !strings.HasSuffix(string(got), want) {
		t.Errorf("the guardian was told %q, %v; want the tree, and %q", got, err, want)
	}
}

func TestGuardIgnoresSignals(t *testing.T) {
	group := func() *exec.Cmd {
		c := exec.Command("sleep", "300")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	victim, spared := group(), group()
	args := as("guard")
	guard := exec.Command(args[0], args[1:]...)
	in, _ := guard.StdinPipe()
	out, _ := guard.StdoutPipe()
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	defer guard.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the guardian says %q, %v", line, err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		guard.Process.Signal(sig)
	}
	fmt.Fprintf(in, "+%d\n+%d\n-%d\n", victim.Process.Pid, spared.Process.Pid, spared.Process.Pid)
	in.Close()
	if err := guard.Wait(); err != nil {
		t.Fatalf("the guardian ended with %v", err)
	}
	err := victim.Wait()
	if exit := exitOf(victim.ProcessState, err); exit.Signal != syscall.SIGKILL {
		t.Errorf("the victim ended with %v", exit)
	}
	_ = spared.Process.Signal(syscall.SIGTERM) // a SIGKILL sent before would come first
	err = spared.Wait()
	if exit := exitOf(spared.ProcessState, err); exit.Signal != syscall.SIGTERM {
		t.Errorf("a group that had ended was killed: %v", exit)
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		name          string
		args          []string
		grandchildren bool // end too
	}{
		{"guardian alone", []string{"guardian"}, true},
		{"parent-death signal alone", []string{"parent-death-signal"}, false},
		{"both", []string{"guardian", "parent-death-signal"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.grandchildren && runtime.GOOS != "linux" {
				t.Skip("only Linux has a parent-death signal")
			}
			t.Parallel()
			supervisor, leaders, grandchild := startSupervising(t, tt.args)
			_ = supervisor.Kill()
			waitDead(t, leaders...)
			if tt.grandchildren {
				waitDead(t, grandchild)
			} else {
				_ = syscall.Kill(grandchild, syscall.SIGKILL)
			}
		})
	}
}

// startSupervising starts a process that runs supervise, until the test's end,
// and returns it, its replicas' process IDs, and that of replica c's child.
func startSupervising(t *testing.T, args []string) (supervisor *os.Process, leaders []int, grandchild int) {
	args = as("supervise", args...)
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	in := bufio.NewScanner(out)
	for len(leaders) < 3 && in.Scan() {
		var name string
		var n, pid int
		if _, err := fmt.Sscanf(in.Text(), "%s up %d %d", &name, &n, &pid); err != nil {
			continue
		}
		if name == "c" { // it is the child that says so; its leader leads its group
			grandchild = pid
			if pid, err = syscall.Getpgid(pid); err != nil {
				t.Fatal(err)
			}
		}
		leaders = append(leaders, pid)
	}
	if len(leaders) < 3 {
		t.Fatalf("replicas that are up: %v", leaders)
	}
	return cmd.Process, leaders, grandchild
}
