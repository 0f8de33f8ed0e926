package fault

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil returns at that time, within some tens of microseconds. A timer covers the rest if a
// signal interrupts the system's sleep, or if time is virtual, as in tests.
func sleepUntil(end time.Time) {
	t := unix.NsecToTimespec(max(0, int64(time.Until(end))))
	_ = unix.Nanosleep(&t, nil)
	time.Sleep(time.Until(end))
}
