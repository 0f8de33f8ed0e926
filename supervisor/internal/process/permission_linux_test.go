package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree/treetest"
)

// Processes that have become another user, as by sudo, may not be signaled, which is reported. In a
// control group they can be killed nevertheless.
func TestProcessesOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	processtest.Needs(t, "setpriv")
	const ours = "setpriv --reuid 54321 "
	treetest.Each(t, func(t *testing.T, noCgroup bool) {
		for name, tt := range map[string]struct{ script, signal string }{
			"all":  {"echo up; exec sleep 300", "kill: operation not permitted"},
			"some": {ours + "sh -c 'echo up; exec sleep 300' & wait; exec sleep 300", "<nil>"},
		} {
			t.Run(name, func(t *testing.T) {
				args := as("signal another user")
				out, err := exec.Command(args[0], append(args[1:], tt.script, fmt.Sprint(noCgroup))...).CombinedOutput()
				want := "signal: " + tt.signal + "\nkill: <nil>\n"
				if noCgroup {
					want = "signal: " + tt.signal + "\nkill: kill: operation not permitted\n"
				}
				if string(out) != want || err != nil {
					t.Errorf("got %s, %v; want %s", out, err, want)
				}
			})
		}
	})
}

func init() { parts["signal another user"] = signalAnotherUser }

// signalAnotherUser launches a script as root. As a user who may write to its control group, it
// prints what comes of signaling and killing it when it has printed a line.
func signalAnotherUser() {
	up := make(chan struct{}, 1)
	hub := output.NewHub(func(string, []byte) { up <- struct{}{} }, nil, 0)
	m, err := New(Config{Output: hub, Waits: patient, NoCgroup: os.Args[2] == "true"})
	if err != nil {
		panic(err)
	}
	p, err := m.Launch(context.Background(), Command{Replica: "a", Args: []string{"/bin/sh", "-c", os.Args[1]}})
	if err != nil {
		panic(err)
	}
	<-up
	const user = 54321
	if root := m.tree.Handle().Cgroup; root != "" {
		err = os.Chown(filepath.Join(root, "1", "cgroup.kill"), user, -1)
	}
	if err := errors.Join(err, syscall.Setresuid(user, user, 0)); err != nil {
		panic(err)
	}
	fmt.Println("signal:", p.Signal(syscall.SIGWINCH)) // which does nothing
	_, err = p.Kill()
	fmt.Println("kill:", err)
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		panic(err)
	}
	_, _ = p.Kill()
	<-p.Ended()
	m.Close()
}
