package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports of the replicas lie below the system's ephemeral range, so that no client's socket
// takes the port of a replica that is down, and outside the default ports of the programs.
const (
	lowestPort = 8000
	blockSize  = 32 // enough for the replicas of any design and the lock
	blocks     = 120
)

// Claim returns n addresses, at most 31, on the loopback interface on which nothing listens. Until
// the lock is closed, no other Claim, of this process or another, returns any of them.
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

// freeAddrs returns up to n addresses on which nothing listens, from the block that begins at
// first.
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
