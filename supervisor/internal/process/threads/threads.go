// Package threads keeps a process alive that may have no more threads.
package threads

import (
	"runtime"
	"sync"
)

// Reserve gives the Go runtime that many threads, which it keeps. A
// thread that it cannot create later, because the limit on processes has been
// reached (ulimit -u, pids.max), would end our process.
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
