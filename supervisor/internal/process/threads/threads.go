// Package threads reserves threads, so that a process survives when it may create
// no more of them.
package threads

import (
	"runtime"
	"sync"
)

// Reserve makes the Go runtime create n threads, which it keeps for later use.
// The runtime ends the process if it cannot create a thread that it needs, because
// the limit on processes has been reached (ulimit -u, pids.max).
func Reserve(n int) {
	var begun sync.WaitGroup
	begun.Add(n)
	all := make(chan struct{})
	for range n {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begun.Done()
			<-all
		}()
	}
	begun.Wait()
	close(all)
}
