package report

import (
	"errors"
	"io/fs"
	"syscall"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/output"
)

// eventFile receives each event as a line of JSON; see [event.Event.MarshalJSON]. Sequence number 1
// begins another run of the supervisor; where lines were lost, numbers are missing.
type eventFile struct {
	file *output.File // nil: stdout
	sink *output.Sink
}

// openEvents opens a file to append to. A named pipe may have no reader yet; events are lost until
// it has one.
func openEvents(path string, mode fs.FileMode) (*eventFile, error) {
	f := &output.File{Path: path, Mode: mode}
	if err := f.Open(); err != nil && !errors.Is(err, syscall.ENXIO) {
		return nil, err
	}
	return &eventFile{file: f, sink: &output.Sink{To: f}}, nil
}

// isFile reports whether events go to a file of their own and not to stdout. F may be nil.
func (f *eventFile) isFile() bool { return f != nil && f.file != nil }

// write writes an event.
func (f *eventFile) write(e event.Event) {
	line, err := e.MarshalJSON()
	if err != nil { // a kind without a name, which is a bug in the library
		f.sink.Losses.Add("", 1, err)
		return
	}
	f.sink.Put("", append(line, '\n'))
}
