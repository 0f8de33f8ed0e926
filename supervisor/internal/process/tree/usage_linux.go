package tree

import (
	"os"
	"strconv"
	"time"
)

// tick is the unit of times in /proc, on all architectures that Go supports.
const tick = time.Second / 100

// UsageOf returns the present usage of a child process and its descendants. It returns false if the
// child has ended.
func UsageOf(pid int) (Usage, bool) {
	all, parent := usageOf(pid)
	if parent != os.Getpid() { // it has ended, and its ID may have been reused
		return Usage{}, false
	}
	for _, pid := range descendants(pid)[1:] {
		u, _ := usageOf(pid)
		all.CPU += u.CPU
		all.Memory += u.Memory
	}
	return all, true
}

// usageOf returns the usage of one process, and the ID of its parent, or zero if there is no such
// process.
func usageOf(pid int) (u Usage, parent int) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return Usage{}, 0
	}
	fields := statFields(stat) // from the third field on, see proc_pid_stat(5)
	field := func(number int) int {
		if number-3 >= len(fields) {
			return 0
		}
		n, _ := strconv.Atoi(fields[number-3])
		return n
	}
	for number := 14; number <= 17; number++ { // user and system time, also of children that it waited for
		u.CPU += time.Duration(field(number)) * tick
	}
	u.Memory = uint64(max(0, field(24))) * uint64(os.Getpagesize())
	return u, field(4)
}
