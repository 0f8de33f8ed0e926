package tree

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// firstVariable makes the test binary play process 1 instead of running tests.
const firstVariable = "TREE_TEST_FIRST"

func TestMain(m *testing.M) {
	if os.Getenv(firstVariable) == "" {
		os.Exit(m.Run())
	}
	playFirst()
}

// strangers returns the orphans that this process has adopted.
func strangers() []int {
	held := heldProcesses()
	return slices.DeleteFunc(orphans(), func(pid int) bool { return held[pid] })
}

// shell starts a script on a branch, with files from descriptor 3 on, and waits for its first line.
func shell(t *testing.T, b *Branch, script string, files ...*os.File) *exec.Cmd {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env, cmd.Stdout, cmd.ExtraFiles = append(os.Environ(), Variable+"="+b.Mark()), writer, files
	err = cmd.Start()
	writer.Close()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil {
		t.Fatalf("line %q, %v", line, err)
	}
	return cmd
}

// Orphans are reaped, but children that package os/exec waits for are not, whichever thread has
// started them.
func TestOrphansAreReaped(t *testing.T) {
	processtest.Needs(t, "setsid")
	processtest.NeedsPidfds(t)
	tree := New(false)
	defer tree.Close()
	b := tree.Branch()
	defer b.Remove()
	cmd := shell(t, b, "(setsid sh -c 'echo orphan' &); exec sleep 300")
	processtest.Eventually(t, "end of the zombie", func() bool { return len(strangers()) == 0 })
	for range 50 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// playFirst prints a line when the orphans of a replica have been reaped.
func playFirst() {
	tree := New(true)
	b := tree.Branch()
	const script = "for i in 1 2 3 4 5 6 7 8 9; do (setsid true &); done; echo done; exec sleep 300"
	cmd := shell(nil, b, script)
	for len(strangers()) > 0 { // they include zombies until those are reaped
		time.Sleep(time.Millisecond)
	}
	fmt.Println("reaped", os.Getpid())
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.Remove()
	tree.Close()
}

func TestFirstProcessLeavesNoZombies(t *testing.T) {
	processtest.Needs(t, "unshare", "setsid")
	unshare := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("cannot create a process namespace: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), processtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", append(unshare, os.Args[0])...)
	cmd.Env = append(os.Environ(), firstVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != "reaped 1" {
		t.Errorf("output %q, want %q", got, "reaped 1")
	}
}

func TestHeldProcesses(t *testing.T) {
	processtest.NeedsPidfds(t)
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if pid := cmd.Process.Pid; !heldProcesses()[pid] {
		t.Errorf("process %d, which os/exec waits for, would be reaped", pid)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if pid := cmd.Process.Pid; heldProcesses()[pid] {
		t.Errorf("process %d is still held after it was waited for", pid)
	}
}
