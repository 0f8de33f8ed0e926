//go:build linux

// Package clock reads the clock that all processes of a machine share.
//
// It imports next to nothing, so that Go initializes it before almost everything else in a program,
// and Started includes most of the program's start.
package clock

import (
	"syscall"
	"unsafe"
)

// Started is when this process began to run Go code.
var Started = Now()

// Now returns CLOCK_MONOTONIC, in nanoseconds.
func Now() int64 {
	const monotonic = 1
	var t syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}
