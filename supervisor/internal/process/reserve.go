package process

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

const (
	// spareThreads are those beside one per processor: for forks, for files
	// that are slow, and for what waits in the system.
	spareThreads = 16

	// spareFiles are for what a launch opens: pipes, a pidfd, a socket, the files
	// of a control group.
	spareFiles = 10
)

// fileReserve is descriptors for launches at a time when there are no others.
type fileReserve struct {
	mu    sync.Mutex
	files []*os.File
}

// fill opens what is missing, as far as it can.
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

// launch calls a function that launches, and again with the reserve if it
// fails for want of descriptors.
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
