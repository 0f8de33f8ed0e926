package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// closeAllOnExec marks all descriptors from firstInherited on. It requires Linux 5.11.
func closeAllOnExec() error {
	return unix.CloseRange(firstInherited, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}
