package process

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

const (
	// spareThreads is how many threads are reserved in addition to one per processor, for forks,
	// slow files and other system calls that block.
	spareThreads = 6

	// spareFiles is how many descriptors are reserved. A launch opens pipes, a pidfd, a socket and
	// the files of a control group.
	spareFiles = 10
)

// fileReserve holds descriptors for launches when no others are available.
type fileReserve struct {
	mu    sync.Mutex
	files []*os.File
}

// fill opens the missing files, as far as the system allows.
func (r *fileReserve) fill() {
	for len(r.files) < spareFiles {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		r.files = append(r.files, f)
	}
}

func (r *fileReserve) close() {
	for _, f := range r.files {
		f.Close()
	}
	r.files = nil
}

// launch calls f. If that fails for lack of descriptors, it releases the reserve and calls f again.
func (r *fileReserve) launch(f func() (*Process, error)) (*Process, error) {
	p, err := f()
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return p, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
	defer r.fill()
	return f()
}
