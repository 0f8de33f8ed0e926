package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

func TestLostGuardianIsReplaced(t *testing.T) {
	// Each guardian writes its input to a file named after its process ID.
	dir := t.TempDir()
	s := one(child("serve"), restart.Policy{})
	s.Guardian = []string{"/bin/sh", "-c", `echo $$ > "$0/new"; mv "$0/new" "$0/pid"; exec cat > "$0/$$"`, dir}
	r := start(t, s)
	r.line("a up 1")
	leader := r.event(event.KindLaunched, 1).PID
	first := guardianPID(t, dir, 0)
	_ = syscall.Kill(first, syscall.SIGKILL)
	r.until("guardian lost", func() bool {
		return slices.ContainsFunc(r.events, func(e event.Event) bool {
			return e.Kind == event.KindGuardianLost && e.Replica == "" && strings.Contains(fmt.Sprint(e.Err), "killed")
		})
	})
	second := filepath.Join(dir, strconv.Itoa(guardianPID(t, dir, first)))
	eventually(t, "replica at the second guardian", func() bool {
		got, err := os.ReadFile(second)
		return err == nil && strings.Contains(string(got), fmt.Sprintf("+%d\n", leader))
	})
	r.stop()
	r.ends()
	got, err := os.ReadFile(second)
	if want := fmt.Sprintf("+%d\n-%[1]d\nend\n", leader); err != nil || !strings.HasPrefix(string(got), "tree ") ||
		!strings.HasSuffix(string(got), want) {
		t.Errorf("the second guardian has read %q, %v; want the tree, and %q", got, err, want)
	}
}

// guardianPID waits for the process ID of a guardian other than old.
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

func TestGuardianEndsWithRun(t *testing.T) {
	s := one(child("exit", "0"), restart.Policy{Mode: restart.ModeNever})
	s.Guardian = as("guard")
	r := start(t, s)
	r.ends()
	for _, e := range r.events {
		if e.Kind == event.KindGuardianLost {
			t.Errorf("event %+v at a normal end", e)
		}
	}
}

func TestGuardianKnowsEachGroup(t *testing.T) {
	groups := filepath.Join(t.TempDir(), "groups")
	s := one(child("exit", "0"), restart.Policy{})
	s.Guardian = []string{"/bin/sh", "-c", `cat > "$0"`, groups}
	r := start(t, s)
	r.event(event.KindExited, 2)
	r.stop()
	r.ends()
	var want string
	for _, e := range r.events {
		if e.Kind == event.KindLaunched {
			want += fmt.Sprintf("+%d\n-%[1]d\n", e.PID)
		}
	}
	want += "end\n"
	if got, err := os.ReadFile(groups); !strings.HasPrefix(string(got), "tree ") || !strings.HasSuffix(string(got), want) {
		t.Errorf("the guardian has read %q, %v; want the tree, and %q", got, err, want)
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		name          string
		args          []string
		grandchildren bool // expected to end too
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

// startSupervising starts a process that runs supervise until the test ends. It returns the
// process, the process IDs of its replicas, and that of replica c's child.
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
		if name == "c" { // the child of c has printed its own process ID
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
