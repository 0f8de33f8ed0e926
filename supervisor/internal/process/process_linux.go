package process

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// unblockSignals makes the processes forked by this thread start without blocked signals, whatever
// signals were blocked when the supervisor itself started.
func unblockSignals() {
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, new(unix.Sigset_t), nil) // never fails with these arguments
}

// exitWatch notices the end of a process before it is reaped.
type exitWatch struct {
	pidfd    int
	bySignal bool // set before ended is called
}

// attr returns the attributes with which the process must be started.
func (w *exitWatch) attr(parentDeath bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, PidFD: &w.pidfd}
	if parentDeath {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}

// abandon releases the resources of a failed start.
func (w *exitWatch) abandon() {
	if w.pidfd > 0 {
		unix.Close(w.pidfd)
	}
	w.pidfd = 0
}

// wait calls ended when the process has ended, and then reaps it. During the call no other process
// or group can have its ID.
func (w *exitWatch) wait(cmd *exec.Cmd, ended func()) error {
	var info unix.Siginfo
	if w.pidfd < 0 || !pollExit(w.pidfd, &info) {
		// Kernels before 5.4 and some sandboxes have no usable pidfds. This takes a thread.
		for unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}
	w.bySignal = info.Code != exited
	ended()
	return cmd.Wait()
}

// exited is CLD_EXITED, the code of a process that exited by itself.
const exited = 1

// pollExit takes over the pidfd. It waits until the process has ended, in the network poller
// instead of a thread, and fills in info. It returns false if it cannot.
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
		// With WNOHANG, info stays zero while the process runs. Nonblocking pidfds may return
		// EAGAIN instead.
		return waitErr != unix.EAGAIN && (waitErr != nil || info.Signo != 0)
	})
	return err == nil && waitErr == nil
}
