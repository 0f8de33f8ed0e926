package process

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// unblockSignals makes the processes that this thread forks begin with no signal
// blocked, whatever signals were blocked when our own process began.
func unblockSignals() {
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, new(unix.Sigset_t), nil) // never fails with these arguments
}

// exitWatch waits for the end of a process without reaping it.
type exitWatch struct{ pidfd int }

// attr returns the attributes with which a process must be started to be watched.
func (w *exitWatch) attr(parentDeath bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, PidFD: &w.pidfd}
	if parentDeath {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}

// abandon releases what a failed start has left.
func (w *exitWatch) abandon() {
	if w.pidfd > 0 {
		unix.Close(w.pidfd)
	}
	w.pidfd = 0
}

// wait calls ended when the process has ended, then reaps it. While ended runs,
// no other process or group can have its ID.
func (w *exitWatch) wait(cmd *exec.Cmd, ended func()) error {
	if w.pidfd < 0 || !pollExit(w.pidfd) {
		// For kernels before 5.4, and some sandboxes. This takes a thread.
		for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}
	ended()
	return cmd.Wait()
}

// pollExit takes over the pidfd and waits in the network poller, not in a thread,
// until its process has ended. It returns false if it cannot.
func pollExit(pidfd int) bool {
	if unix.SetNonblock(pidfd, true) != nil {
		unix.Close(pidfd)
		return false
	}
	f := os.NewFile(uintptr(pidfd), "pidfd")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var waitErr error
	err = conn.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		for {
			waitErr = unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
			if waitErr != unix.EINTR {
				break
			}
		}
		// With WNOHANG, info stays zero while the process runs. Nonblocking
		// pidfds may return EAGAIN instead.
		return waitErr != unix.EAGAIN && (waitErr != nil || info.Signo != 0)
	})
	return err == nil && waitErr == nil
}
