package process

import (
	"errors"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

var rlimits = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA,
	"fsize": unix.RLIMIT_FSIZE, "locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK,
	"msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE, "nofile": unix.RLIMIT_NOFILE,
	"nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// startStopped starts a command under ptrace(2), which stops the process at its exec, and sets the
// limits there. Unlike a wrapper program, such as a shell, this needs no other exec first, and has
// no race. Only the thread that forked may trace, so the calling goroutine must be locked to its
// thread. Unless the supervisor runs as root, a traced exec ignores the set-user-ID bit and the
// file capabilities of the program.
func (l limits) startStopped(cmd *exec.Cmd) error {
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	err := l.release(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return err
}

// release sets the limits of a process that stops at its exec, and lets it run.
func (l limits) release(pid int) error {
	if err := awaitExec(pid); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	// If the supervisor is killed now, the kernel kills the traced process too.
	if err := unix.PtraceSetOptions(pid, unix.PTRACE_O_EXITKILL); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := l.apply(pid); err != nil {
		return err
	}
	if err := unix.PtraceDetach(pid); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}

// awaitExec waits until a process stops at its exec. The kernel delivers the trap before any other
// signal; those stay pending.
func awaitExec(pid int) error {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err == nil && !status.Stopped() {
			err = errors.New("the process was killed before they were set")
		}
		return err
	}
}

func (l limits) apply(pid int) error {
	for name, limit := range l.Rlimits {
		r := &unix.Rlimit{Cur: limit.Soft, Max: limit.Hard}
		if err := unix.Prlimit(pid, rlimits[name], r, nil); err != nil {
			if name == "nofile" && err == unix.EPERM && unix.Geteuid() == 0 {
				return fmt.Errorf("rlimit nofile: %w: the kernel allows at most fs.nr_open", err)
			}
			return fmt.Errorf("rlimit %s: %w", name, hint(err))
		}
	}
	if l.Nice == 0 {
		return nil
	}
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // the system call returns 20 - nice
	if err != nil {
		return fmt.Errorf("nice %d: %w", l.Nice, err)
	}
	nice := min(max(20-ours+l.Nice, -20), 19)
	if err := unix.Setpriority(unix.PRIO_PROCESS, pid, nice); err != nil {
		return fmt.Errorf("nice %d: %w", l.Nice, hint(err))
	}
	return nil
}

// hint adds the missing privilege to a permission error.
func hint(err error) error {
	if err == unix.EPERM || err == unix.EACCES {
		return fmt.Errorf("%w: a limit above ours takes root (CAP_SYS_RESOURCE, CAP_SYS_NICE)", err)
	}
	return err
}
