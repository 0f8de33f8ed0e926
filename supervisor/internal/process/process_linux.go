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

// exitWatch sees the end of a process while it is still unreaped.
type exitWatch struct {
	pidfd    int
	bySignal bool // what the process ended by, from then on
}

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
	var info unix.Siginfo
	if w.pidfd < 0 || !pollExit(w.pidfd, &info) {
		// Kernels before 5.4, and some sandboxes: at the cost of a thread.
		for unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}
	w.bySignal = info.Code != exited
	ended()
	return cmd.Wait()
}

// exited is the code of a process that ended by itself: CLD_EXITED.
const exited = 1

// pollExit takes the pidfd over and waits in the network poller, not in a
// thread, until its process has ended, as info says then. It returns false if it
// cannot.
func pollExit(pidfd int, info *unix.Siginfo) bool {
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
		for {
			waitErr = unix.Waitid(unix.P_PIDFD, int(fd), info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
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
