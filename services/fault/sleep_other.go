//go:build !linux

package fault

import "time"

// sleepUntil returns at that time, with the accuracy of Go's timers.
func sleepUntil(end time.Time) { time.Sleep(time.Until(end)) }
