package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
)

// The ports of the replicas are lower than those that tests of other packages use, apart from the
// default ports of the programs, and far below the ephemeral ports: while a replica is down, no
// other process must take its port.
const (
	lowestPort = 4000
	blockSize  = 200
	blocks     = 15
)

// ports is a block of ports that belongs to this process. Other processes that run these tests do
// not use it, because its first port is in use as long as this process runs.
var ports struct {
	lock  net.Listener
	first int

	mu    sync.Mutex
	taken [blockSize]bool // by a running test; the first one is the lock
	next  int             // where to search first, so that freed ports are reused late
}

// claimPorts claims a block of ports.
func claimPorts() error {
	for _, i := range rand.Perm(blocks) {
		first := lowestPort + i*blockSize
		if lock, err := net.Listen("tcp", addr(first)); err == nil {
			ports.lock, ports.first, ports.taken[0] = lock, first, true
			return nil
		}
	}
	return errors.New("no free ports: these tests run too often at once")
}

// freePorts returns the first of n consecutive ports that no process uses. They belong to the test
// until it ends.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for i := range blockSize {
		from := (ports.next + i) % blockSize
		if from+n > blockSize {
			continue // beyond the end of the block
		}
		block, base := ports.taken[from:from+n], ports.first+from
		if slices.Contains(block, true) || !allFree(base, n) {
			continue
		}
		set := func(taken bool) {
			for i := range block {
				block[i] = taken
			}
		}
		set(true)
		ports.next = from + n
		t.Cleanup(func() {
			ports.mu.Lock()
			defer ports.mu.Unlock()
			set(false)
		})
		return base
	}
	t.Fatalf("no %d free ports between %d and %d", n, ports.first, ports.first+blockSize)
	return 0
}

func allFree(base, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", addr(base+i))
		if err != nil {
			return false
		}
		defer l.Close()
	}
	return true
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
