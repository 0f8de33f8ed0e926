package supervisor

import (
	"time"

	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/status"
)

// Usage is what a replica's processes use.
type Usage struct {
	CPU    time.Duration // user and system time of those that run, and of children that they have waited for
	Memory uint64        // resident memory in bytes; shared pages count for each process
}

// UsageOf returns what a replica's process and its descendants use now. It returns
// false if the process has ended, and on systems other than Linux.
func UsageOf(s status.Status) (Usage, bool) {
	if s.PID == 0 {
		return Usage{}, false
	}
	u, ok := tree.UsageOf(s.PID)
	return Usage(u), ok
}
