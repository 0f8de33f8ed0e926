package main

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Replicas start without blocked signals, whichever were blocked when the supervisor was started.
func TestReplicasHaveNoSignalBlocked(t *testing.T) {
	p := prepare(t, "", "--replicas=20", "--restart=never", "--", "grep", "SigBlk", "/proc/self/status")
	var blocked, before unix.Sigset_t
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD, syscall.SIGPIPE} {
		blocked.Val[0] |= 1 << (sig - 1)
	}
	runtime.LockOSThread() // signals are blocked per thread
	defer runtime.UnlockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
		t.Fatal(err)
	}
	p.launch()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		t.Fatal(err)
	}
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	out := p.stdout.text()
	if n := strings.Count(out, fmt.Sprintf("SigBlk:\t%016x", 0)); n != 20 {
		t.Errorf("%d replicas have no signal blocked, want 20:\n%s", n, out)
	}
}
