package tree

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// newCgroupTree returns a tree with a control group, which is closed when the test ends.
func newCgroupTree(t *testing.T) *Tree {
	t.Helper()
	tree := New(true)
	t.Cleanup(tree.Close)
	if !tree.useCgroups {
		t.Skip("no control group of version 2 that can be made")
	}
	return tree
}

// A launch that cannot use its control group is retried without, and its strays are found like
// those of any launch without one.
func TestStraysOfALaunchOutsideItsCgroup(t *testing.T) {
	processtest.Needs(t, "setsid")
	processtest.NeedsPidfds(t)
	tree := newCgroupTree(t)
	b := tree.Branch()
	if err := os.Remove(string(b.cgroup)); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var stray int
	cmd, err := b.Start(func() *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", "(setsid sh -c 'echo $$; exec sleep 300' &); exec sleep 300")
		cmd.Env, cmd.Stdout = append(os.Environ(), Variable+"="+b.Mark()), writer
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd
	}, func(cmd *exec.Cmd) error {
		err := cmd.Start()
		writer.Close()
		if err == nil {
			_, err = fmt.Fscan(bufio.NewReader(reader), &stray)
		}
		if err == nil { // the stray may become an orphan before its launch has returned
			processtest.Eventually(t, "adopted stray", func() bool { return slices.Contains(orphans(), stray) })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if n := b.Left(cmd.Process.Pid); n != 1 {
		t.Errorf("%d processes are left beside the first one, want the stray", n)
	}
	b.Kill(cmd.Process.Pid)
	processtest.WaitDead(t, stray)
	b.Remove()
}

// A lack of resources is reported, and does not end the use of control groups.
func TestTransientErrorsKeepTheCgroups(t *testing.T) {
	tree := newCgroupTree(t)
	for _, reason := range []error{unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.ENOMEM, unix.ETXTBSY} {
		b := tree.Branch()
		calls := 0
		_, err := b.Start(func() *exec.Cmd {
			return &exec.Cmd{SysProcAttr: new(syscall.SysProcAttr)}
		}, func(*exec.Cmd) error {
			if calls++; calls == 1 {
				return &os.PathError{Op: "fork/exec", Path: "/bin/true", Err: reason}
			}
			return nil
		})
		if !errors.Is(err, reason) || calls != 1 || !tree.useCgroups {
			t.Errorf("%v: error %v after %d calls, cgroups %v; want the error after 1 call, and cgroups", reason, err, calls, tree.useCgroups)
		}
		b.Remove()
	}
}

// A program that cannot be executed changes neither the use of control groups nor who adopts
// orphans.
func TestMissingProgramsKeepTheCgroups(t *testing.T) {
	tree := newCgroupTree(t)
	before := tree.reaper
	b := tree.Branch()
	defer b.Remove()
	if _, err := b.Start(func() *exec.Cmd {
		return &exec.Cmd{Path: "/no/such", SysProcAttr: new(syscall.SysProcAttr)}
	}, (*exec.Cmd).Start); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
	if !tree.useCgroups || tree.reaper != before {
		t.Errorf("control groups are used: %v; another reaper: %v", tree.useCgroups, tree.reaper != before)
	}
}
