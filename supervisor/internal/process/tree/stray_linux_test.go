package tree

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// stat returns the content of a file /proc/PID/stat.
func stat(name, state string, flags, code, envStart, envEnd uint64) []byte {
	return fmt.Appendf(nil, "1 (%s) %s 1 1 1 0 -1 %d%s %d%s %d %d 0\n", name, state, flags, strings.Repeat(" 0", 16), code,
		strings.Repeat(" 0", 23), envStart, envEnd)
}

func TestProcessesWithoutEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name string
		stat []byte
		want kind
	}{
		{"at the beginning of exec", stat("sh", "R", 0, 0, 0, 0), execing},
		{"in the middle of exec", stat("sh", "R", 0, 0, 0x7f00, 0x7f00), execing},
		{"near the end of exec", stat("sh", "R", 0, 0, 0x7f00, 0x7f08), execing},
		{"after exec", stat("sh", "S", 0, 0x7e00, 0x7f00, 0x7f08), execing},
		{"cleared", stat("sh", "S", 0, 0x7e00, 0x7f00, 0x7f00), foreign},
		{"a zombie", stat("sh", "Z", 4, 0, 0, 0), foreign},
		{"becoming a zombie", stat("sh", "R", 4, 0, 0, 0), dying},
		{"a kernel thread", stat("kthread", "S", 0x200000, 0, 0, 0), foreign},
		{"ended meanwhile", nil, foreign},
	} {
		if got := kindOf(tt.stat); got != tt.want {
			t.Errorf("%s: kind %d, want %d", tt.name, got, tt.want)
		}
	}
	ours, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if got := kindOf(ours); got != execing {
		t.Errorf("this process: kind %d, want %d", got, execing)
	}
}

// Strays that an earlier scan has missed, because one has started another meanwhile, are killed
// later, not only when the tree is closed.
func TestLateStraysAreKilled(t *testing.T) {
	processtest.Needs(t, "setsid")
	processtest.NeedsPidfds(t)
	tree := New(false)
	defer tree.Close()
	b := tree.Branch()
	cmd := exec.Command("/bin/sh", "-c", "(setsid sh -c 'sleep 300 & echo $$ $!; wait' &)")
	cmd.Env = append(os.Environ(), Variable+"="+b.Mark())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var parent, child int
	if _, err := fmt.Fscan(out, &parent, &child); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b.strays = true
	b.Remove()
	processtest.WaitDead(t, parent, child)
}

// A mark is found at the end of a large environment.
func TestMarkInALargeEnvironment(t *testing.T) {
	const around = len("A= MARK=1 ")
	for _, size := range []int{0, environSize - around - 1, environSize - around, environSize - around + 1, 100_000} {
		cmd := exec.Command("sleep", "300")
		cmd.Env = []string{"A=" + strings.Repeat("x", size), "MARK=1"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var has bool
		var n int
		var err error
		processtest.Eventually(t, "end of exec", func() bool {
			has, n, err = carries(cmd.Process.Pid, []byte("MARK=1"))
			return n > 0 || err != nil
		})
		none, _, _ := carries(cmd.Process.Pid, []byte("MARK=2"))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if wanted := size + around; !has || none || n != wanted || err != nil {
			t.Errorf("of %d bytes: %v, %v, %d, %v", wanted, has, none, n, err)
		}
	}
}
