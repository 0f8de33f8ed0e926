package output

import (
	"sync"
	"time"
)

// reportPeriod is how often lost lines are reported while there are any.
const reportPeriod = time.Second

// Losses counts lost lines. The zero value is ready to use.
type Losses struct {
	// Tell is called once a second while lines are lost, for one source at a time, with their
	// number since the last call and the reason, which is nil if they did not fit into the queue.
	// It must not block. If it is nil, lines are only counted.
	Tell func(source string, lines uint64, err error)

	reporting sync.Mutex // held while Tell runs; locked before mu

	mu         sync.Mutex
	total      uint64
	err        error // of the latest write; nil: it succeeded
	unreported map[string]loss
	timer      *time.Timer // nil: nothing to report
}

type loss struct {
	lines uint64
	err   error
}

// Add counts lines of a source that were lost because of err, or because they did not fit into the
// queue if err is nil.
func (l *Losses) Add(source string, lines uint64, err error) {
	if lines == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += lines
	if l.Tell == nil {
		return
	}
	if l.unreported == nil {
		l.unreported = make(map[string]loss)
	}
	l.unreported[source] = loss{l.unreported[source].lines + lines, err}
	if l.timer == nil {
		l.timer = time.AfterFunc(reportPeriod, l.Flush)
	}
}

// Outcome records the error of the latest write.
func (l *Losses) Outcome(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Flush reports at once what has not been reported yet.
func (l *Losses) Flush() {
	l.reporting.Lock()
	defer l.reporting.Unlock()
	l.mu.Lock()
	unreported := l.unreported
	l.unreported = nil
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.mu.Unlock()
	for source, lost := range unreported {
		l.Tell(source, lost.lines, lost.err)
	}
}

// Lost returns the total number of lost lines, and the error of the latest write, or nil if it
// succeeded.
func (l *Losses) Lost() (lines uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total, l.err
}
