package fault

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil returns at that time, to some tens of microseconds. Where a signal has cut the
// system's sleep short, or time is not the system's, as in tests, the rest is left to a timer.
func sleepUntil(end time.Time) {
	t := unix.NsecToTimespec(max(0, int64(time.Until(end))))
	_ = unix.Nanosleep(&t, nil)
	time.Sleep(time.Until(end))
}
