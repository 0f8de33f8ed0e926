package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports of the replicas lie beside the defaults of the binaries, and far below those that the
// system gives to clients: a replica that is down for a while must find its port free again.
const (
	lowestPort = 8000
	blockSize  = 32 // enough for the replicas of any design, and the lock
	blocks     = 120
)

// Claim returns n addresses on which nobody listens, and a lock on them: no other trial, of this
// process or another, gets one of them until it is closed.
func Claim(n int) (lock net.Listener, addrs []string, err error) {
	for _, i := range rand.Perm(blocks) {
		first := lowestPort + i*blockSize
		lock, err := net.Listen("tcp", addr(first))
		if err != nil {
			continue
		}
		if addrs := freeAddrs(first+1, n); len(addrs) == n {
			return lock, addrs, nil
		}
		lock.Close()
	}
	return nil, nil, errors.New("no free ports: too many clusters run at once")
}

// freeAddrs returns n addresses of the block that begins at first on which nobody listens, or
// fewer.
func freeAddrs(first, n int) []string {
	var free []string
	for port := first; port < first+blockSize-1 && len(free) < n; port++ {
		if l, err := net.Listen("tcp", addr(port)); err == nil {
			l.Close()
			free = append(free, addr(port))
		}
	}
	return free
}

func addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
