// Package threads reserves threads, so that a process survives when it cannot create more of them.
package threads

import (
	"runtime"
	"sync"
)

// Reserve makes the Go runtime create n threads, which it keeps for later use. Otherwise the
// runtime ends the process if it needs another thread and the limit on processes (ulimit -u,
// pids.max) has been reached.
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
