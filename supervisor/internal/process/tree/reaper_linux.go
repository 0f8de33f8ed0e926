package tree

import (
	"bytes"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// orphanPause is the time between looks at an orphan in the middle of exec or exit.
const orphanPause = 200 * time.Microsecond

// reaper makes orphaned descendants our children, and reaps them as they end. It leaves alone the
// children that package os waits for, for each of which we hold a pidfd.
type reaper struct {
	news chan os.Signal
	done sync.WaitGroup
}

// startReaper returns nil if the system does not support it.
func startReaper() *reaper {
	if !waitsByPidfd() || !subreap(+1) {
		return nil
	}
	r := &reaper{news: make(chan os.Signal, 1)}
	signal.Notify(r.news, unix.SIGCHLD)
	r.done.Go(func() {
		for range r.news {
			for reapOrphans() { // the list of children may be incomplete while others are reaped
			}
		}
	})
	return r
}

func (r *reaper) close() {
	signal.Stop(r.news)
	close(r.news)
	r.done.Wait()
	for range maxScans { // processes that were just killed may still be dying
		if !reapOrphans() && !slices.ContainsFunc(orphans(), func(pid int) bool { return withoutEnvironment(pid) == dying }) {
			break
		}
		time.Sleep(orphanPause)
	}
	subreap(-1)
}

// waitsByPidfd reports whether package os waits by pidfd, as it does on Linux 5.4 and later.
func waitsByPidfd() bool {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil) == unix.ECHILD
}

// subreapers counts the trees that need this process to be a subreaper.
var subreapers struct {
	sync.Mutex
	n int
}

// subreap adds change to the count. It makes this process a subreaper for the first tree, and ends
// that after the last one. It reports success. Process 1 always is a subreaper.
func subreap(change int) bool {
	subreapers.Lock()
	defer subreapers.Unlock()
	n := subreapers.n + change
	if n == 0 || subreapers.n == 0 {
		if unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, uintptr(min(n, 1)), 0, 0, 0) != nil {
			return false
		}
	}
	subreapers.n = n
	return true
}

// orphans returns the children of our first thread, which adopts orphans. Other children are among
// them only if that thread forks, which depends on the Go scheduler.
func orphans() []int {
	list, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children")
	if err != nil {
		return nil // a kernel without such lists
	}
	return parsePIDs(list)
}

// reapOrphans reaps orphans that have ended, and reports whether there were any.
func reapOrphans() bool {
	var dead []int
	for _, pid := range orphans() {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == nil && info.Signo != 0 {
			dead = append(dead, pid)
		}
	}
	if len(dead) == 0 {
		return false
	}
	held, reaped := heldProcesses(), false
	for _, pid := range dead {
		if !held[pid] {
			got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			reaped = reaped || err == nil && got == pid
		}
	}
	return reaped
}

// heldProcesses returns the IDs of the processes for which we hold a pidfd.
func heldProcesses() map[int]bool {
	held := make(map[int]bool)
	fds, _ := os.ReadDir("/proc/self/fdinfo")
	for _, fd := range fds {
		info, _ := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		if _, rest, ok := bytes.Cut(info, []byte("\nPid:\t")); ok {
			number, _, _ := bytes.Cut(rest, []byte("\n"))
			if pid, err := strconv.Atoi(string(number)); err == nil && pid > 0 {
				held[pid] = true
			}
		}
	}
	return held
}

// killOrphans kills our orphans that carry the mark of a launch or are in the group of its leader,
// which has ended. It reaps them and continues with the orphans that they leave, until none is left
// or end has come. It reports whether none is left.
func killOrphans(leader int, mark string, end time.Time) bool {
	for {
		killed, again := killOrphansOnce(leader, mark, end)
		if !again || time.Now().After(end) {
			return !again
		}
		if !killed {
			time.Sleep(orphanPause)
		}
	}
}

// killOrphansOnce looks once. It reports whether it killed any orphans, and whether there may be
// more.
func killOrphansOnce(leader int, mark string, end time.Time) (killed, again bool) {
	var strays []stray
	list := orphans()
	for _, pid := range list {
		if pid == leader {
			continue // another goroutine waits for it
		}
		s, kind := openOrphan(pid, leader, mark)
		if kind == marked {
			s.kill()
			strays = append(strays, s)
		}
		again = again || kind != foreign
	}
	for _, s := range strays {
		s.reap(end)
		s.close()
	}
	// An orphan that ended before it was inspected has left its children to us.
	again = again || slices.ContainsFunc(orphans(), func(pid int) bool { return !slices.Contains(list, pid) })
	return len(strays) > 0, again
}

// openOrphan is openStray, except that members of the group count as marked, even if they have
// ended, so that their children are waited for.
func openOrphan(pid, group int, mark string) (stray, kind) {
	if g, err := unix.Getpgid(pid); err != nil || g != group {
		return openStray(pid, []byte(mark))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return stray{}, foreign
	}
	return stray{fd}, marked
}

// orphansOf returns our running orphans that carry the mark of a launch or are in the group of its
// leader. Unsure is the number of orphans in the middle of exec or exit, which may belong to them.
func orphansOf(leader int, mark string) (pids []int, unsure int) {
	for _, pid := range orphans() {
		if pid == leader {
			continue // another goroutine waits for it
		}
		s, kind := openOrphan(pid, leader, mark)
		switch kind {
		case marked:
			s.close()
			if !isZombie(pid) {
				pids = append(pids, pid)
			}
		case execing, dying:
			unsure++
		}
	}
	return pids, unsure
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return true
	}
	fields := statFields(stat)
	return len(fields) > 0 && (fields[0] == "Z" || fields[0] == "X")
}

// descendants returns a process and its descendants through parents that are still running.
func descendants(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := os.ReadDir(procFile(pids[i], "task"))
		for _, task := range tasks {
			list, _ := os.ReadFile(procFile(pids[i], "task/"+task.Name()+"/children"))
			pids = append(pids, parsePIDs(list)...)
		}
	}
	return pids
}
