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

// The ports of the replicas lie below those that the tests of other packages draw theirs from,
// beside the defaults of the binaries, and far below those that the system gives to clients: a
// replica that is down for a while must find its port free again.
const (
	lowestPort = 4000
	blockSize  = 200
	blocks     = 15
)

// ports is the block of ports that is this process's own. Nobody else who runs these tests takes
// one of them while a replica is down, since the first one is held for as long as the process
// lives.
var ports struct {
	lock  net.Listener
	first int

	mu    sync.Mutex
	taken [blockSize]bool // by a test that runs; the first is the lock
	next  int             // where to look first, so that a port rests before it is taken again
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

// freePorts returns the first of n ports in a row on which nobody listens. They are the test's own
// until it ends.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for i := range blockSize {
		from := (ports.next + i) % blockSize
		if from+n > blockSize {
			continue // they would wrap around
		}
		own, base := ports.taken[from:from+n], ports.first+from
		if slices.Contains(own, true) || !allFree(base, n) {
			continue
		}
		set := func(taken bool) {
			for i := range own {
				own[i] = taken
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
