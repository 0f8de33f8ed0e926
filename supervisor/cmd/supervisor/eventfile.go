package main

import (
	"encoding/json"
	"io"
	"os"

	"example.com/crashlab/supervisor"
)

// eventFile gets each event as a line of JSON, see
// [supervisor.Event.MarshalJSON], in one write as it happens.
type eventFile struct {
	lines  *json.Encoder
	file   io.Closer // nil: stdout
	failed func(error)
}

// openEvents opens a file, which is appended to; sequence number 1 begins
// another run in it. A path of - is stdout.
func openEvents(path string, stdout io.Writer, failed func(error)) (*eventFile, error) {
	f := &eventFile{failed: failed}
	if path == "-" {
		f.lines = json.NewEncoder(stdout)
	} else {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, err
		}
		f.lines, f.file = json.NewEncoder(file), file
	}
	f.lines.SetEscapeHTML(false)
	return f, nil
}

// write writes an event. After an error, which is told once, nothing is
// written any more: a file with a hole would look whole.
func (f *eventFile) write(e supervisor.Event) {
	if f.failed == nil {
		return
	}
	if err := f.lines.Encode(e); err != nil {
		f.failed(err)
		f.failed = nil
	}
}

func (f *eventFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
