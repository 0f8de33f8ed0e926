package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// The ports of the replicas lie below those that the tests of other packages draw theirs from, beside the defaults of
// the binaries, and far below those that the system gives to clients: a replica that is down for a while must find its
// port free again.
const (
	lowestPort = 4000
	blockSize  = 200
	blocks     = 15
)

// ports is the block of ports that is this process's own. Nobody else who runs these tests takes one of them while a
// replica is down, since the first one is held for as long as the process lives.
var ports struct {
	lock  net.Listener
	first int
	taken atomic.Int64
}

// claimPorts claims a block of ports.
func claimPorts() error {
	for _, i := range rand.Perm(blocks) {
		first := lowestPort + i*blockSize
		if lock, err := net.Listen("tcp", addr(first)); err == nil {
			ports.lock, ports.first = lock, first
			return nil
		}
	}
	return errors.New("no free ports: these tests run too often at once")
}

// freePorts returns the first of n ports in a row on which nobody listens. A test never gets those of another that runs.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	const size = blockSize - 1
	for range size {
		offset := (int(ports.taken.Add(int64(n))) - n) % size
		if offset+n > size {
			continue // they would wrap around
		}
		if base := ports.first + 1 + offset; allFree(base, n) {
			return base
		}
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
