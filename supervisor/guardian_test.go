package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestReadGroups(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        []int
		bad         bool
	}{
		{"nothing", "", nil, false},
		{"launched and ended", "+12\n+13\n-12\n", []int{13}, false},
		{"an unfinished line", "+12\n+1", []int{12}, false},
		{"every process", "+1\n+0\n-1\n+12\n", []int{12}, true},
		{"every process after a cut to 32 bits", "+4294967297\n", nil, true},
		{"no number", "+12\nhello\n\n", []int{12}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			groups, err := readGroups(strings.NewReader(tt.input))
			var got []int
			for id := range groups {
				got = append(got, id)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) || (err != nil) != tt.bad {
				t.Errorf("got %v, %v; want %v, an error: %v", got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestLostGuardianIsAnEvent(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("serve")), Guardian: []string{"/bin/sh", "-c", "exit 3"}})
	r.until("guardian lost", func() bool {
		for _, e := range r.events {
			if e.Kind == GuardianLost {
				return e.Err != nil && e.Replica == ""
			}
		}
		return false
	})
	r.line("a up 1")
}

func TestGuardianEndsWithRun(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("exit", "0")), Policy: Policy{Restart: Never}, Guardian: as("guard")})
	r.ends()
	for _, e := range r.events {
		if e.Kind == GuardianLost {
			t.Errorf("event %+v at a normal end", e)
		}
	}
}

func TestGuardianIsToldOfEachGroup(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	r := start(t, &Supervisor{Replicas: one(as("exit", "0")), Guardian: []string{"/bin/sh", "-c", `cat > "$0"`, told}})
	r.event(Exited, 2)
	r.stop()
	r.ends()
	var want string
	for _, e := range r.events {
		if e.Kind == Launched {
			want += fmt.Sprintf("+%d\n-%[1]d\n", e.PID)
		}
	}
	if got, err := os.ReadFile(told); string(got) != want {
		t.Errorf("the guardian was told %q, %v; want %q", got, err, want)
	}
}

func TestGuardIgnoresSignals(t *testing.T) {
	victim := exec.Command("sleep", "300")
	victim.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	spared := exec.Command("sleep", "300")
	spared.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, c := range []*exec.Cmd{victim, spared} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer c.Wait()
		defer c.Process.Kill()
	}
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
	waitDead(t, victim.Process.Pid)
	if !alive(spared.Process.Pid) {
		t.Error("a group that had ended was killed")
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		name          string
		args          []string
		grandchildren bool // end too
	}{
		{"guardian alone", []string{"guardian", "no-parent-death-signal"}, true},
		{"parent-death signal alone", nil, false},
		{"both", []string{"guardian"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.args) == 0 && runtime.GOOS != "linux" {
				t.Skip("only Linux has a parent-death signal")
			}
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
