package tree

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// scanPause is the time between searches for the processes of a tree. A process in the middle of
// exec shows no environment for some microseconds.
const scanPause = 10 * time.Millisecond

// Kill kills all processes of the tree, until that many consecutive scans have found none, and
// removes its control group, if there is one. Processes that were moved out of the control group,
// as by su(1), are found by their mark, unless they cleared their environment or may not be
// inspected.
func (h Handle) Kill(scans int) {
	root := cgroup(h.Cgroup)
	if root != "" {
		_ = root.kill()
	}
	mark := []byte(h.ID + "-")
	for scan, clear := 0, 0; scan < maxScans; scan++ {
		if killMarked(mark) {
			clear = 0
		} else if clear++; clear == scans {
			break
		}
		time.Sleep(scanPause)
	}
	for scan := 0; root != "" && root.remove() != nil && scan < maxScans; scan++ {
		time.Sleep(scanPause)
	}
}

// killMarked kills all processes whose environment contains the mark, and reports whether there
// were any, or may have been.
func killMarked(mark []byte) bool {
	proc, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1) // on an error, the names so far
	found := false
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s, kind := openStray(pid, mark)
		if kind == marked {
			s.kill()
			s.close()
		}
		found = found || kind == marked || kind == execing
	}
	return found
}

// stray is a process that may have left its group.
type stray struct{ pidfd int }

// kind tells whether a process belongs to a tree or branch.
type kind int

const (
	foreign kind = iota // without the mark, or ended
	marked              // with the mark
	execing             // in the middle of exec, without an environment for some microseconds
	dying               // already without an environment, but possibly still with children
)

// openStray returns the process with the given ID if it is marked. A process that reuses the ID
// before kill is safe.
func openStray(pid int, mark []byte) (stray, kind) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return stray{}, foreign
	}
	has, size, err := carries(pid, mark)
	if has {
		return stray{fd}, marked
	}
	unix.Close(fd)
	if err == nil && size == 0 {
		return stray{}, withoutEnvironment(pid)
	}
	return stray{}, foreign
}

// environSize is enough for most environments.
const environSize = 64 << 10

var environments = sync.Pool{New: func() any { return new([environSize]byte) }}

// carries reports whether the environment of a process contains the mark, and its size. It reads
// the environment at once: if the process execs between two reads, the second one returns nothing.
func carries(pid int, mark []byte) (has bool, size int, err error) {
	f, err := os.Open(procFile(pid, "environ"))
	if errors.Is(err, unix.ESRCH) { // newer kernels: it has none
		return false, 0, nil
	} else if err != nil {
		return false, 0, err
	}
	defer f.Close()
	pooled := environments.Get().(*[environSize]byte)
	defer environments.Put(pooled)
	for buffer := pooled[:]; ; buffer = make([]byte, 4*len(buffer)) {
		n, err := f.ReadAt(buffer, 0)
		if n < len(buffer) {
			if err == io.EOF {
				err = nil
			}
			return bytes.Contains(buffer[:n], mark), n, err
		}
	}
}

// withoutEnvironment returns the kind of a process that shows no environment.
func withoutEnvironment(pid int) kind {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return foreign
	}
	return kindOf(stat)
}

// kindOf returns the kind of such a process from its stat file, see proc_pid_stat(5). Exec gives a
// process an environment that is empty at first, and its code only at the end.
func kindOf(stat []byte) kind {
	const ( // indexes of fields after the name, and bits of the flags
		state, flags, code, envStart, envEnd = 0, 6, 23, 47, 48
		exiting, kernel                      = 0x4, 0x200000
	)
	fields := statFields(stat)
	if len(fields) <= envEnd {
		return foreign
	}
	bits, err := strconv.ParseUint(fields[flags], 10, 64)
	switch {
	case err != nil || bits&kernel != 0 || fields[state] == "Z" || fields[state] == "X":
		return foreign
	case bits&exiting != 0:
		return dying
	case fields[code] != "0" && fields[envStart] == fields[envEnd]:
		return foreign // its environment is empty for good
	}
	return execing // or it has an environment by now
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// statFields returns the fields of a stat file after the name, which may contain any character. The
// first one is the state.
func statFields(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// parsePIDs returns the process IDs in a list read from /proc or a control group.
func parsePIDs(list []byte) []int {
	var pids []int
	for field := range strings.FieldsSeq(string(list)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (s stray) kill() {
	// This fails if the process has ended, or may not be killed.
	_ = unix.PidfdSendSignal(s.pidfd, unix.SIGKILL, nil, 0)
}

func (s stray) close() { unix.Close(s.pidfd) }

// reap waits for the end of a child process, at most until end, and reaps it.
func (s stray) reap(end time.Time) {
	ended := []unix.PollFd{{Fd: int32(s.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ended, int(max(time.Until(end), 0).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n == 1 {
			_ = unix.Waitid(unix.P_PIDFD, s.pidfd, nil, unix.WEXITED|unix.WNOHANG, nil)
		}
		return
	}
}
