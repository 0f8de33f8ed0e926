package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
)

// freePorts returns the first of n consecutive free ports, below the ephemeral range that the
// sockets of other tests use.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 1000 {
		base := 12000 + rand.IntN(20000)
		free := 0
		for free < n && reserve(t, base+free) {
			free++
		}
		if free == n {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// refusing returns an address that refuses connections until the test's end.
func refusing(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
}

// reserve reserves a port until the test's end, for programs that are given its number. On Linux, a
// bound socket that does not listen leaves room for one that does, if both allow reuse, as Go's
// sockets do. It allows reuse only after it is bound, so that of two tests that reserve the same
// port one fails.
func reserve(t *testing.T, port int) bool {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}) != nil {
		syscall.Close(fd)
		return false
	}
	if runtime.GOOS != "linux" {
		syscall.Close(fd) // another test may have it
		return true
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	return true
}
