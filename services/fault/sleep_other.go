//go:build !linux

package fault

import "time"

// sleepUntil returns at that time, as exactly as Go's timers are.
func sleepUntil(end time.Time) { time.Sleep(time.Until(end)) }
