package supervisor

import (
	"time"

	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/status"
)

// Usage is the resource usage of a replica.
type Usage struct {
	CPU    time.Duration // user and system time of its running processes, and of children that they have waited for
	Memory uint64        // resident memory in bytes; shared pages are counted once per process
}

// UsageOf returns the present usage of a replica's process and its descendants. It returns false if
// the process has ended, and on systems other than Linux.
func UsageOf(s status.Status) (Usage, bool) {
	if s.PID == 0 {
		return Usage{}, false
	}
	u, ok := tree.UsageOf(s.PID)
	return Usage(u), ok
}
