package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor"
)

// reportFlags say where it goes what the supervisor and its replicas tell. What
// is empty is not wanted.
type reportFlags struct {
	LogJSON     bool   // the log is JSON, and replicas' lines are too
	LogLevel    string // least level to log, as hclog names them
	Quiet       bool   // no replicas' lines on stdout: the last before a crash are logged
	LogDir      string // where each replica's lines go to a file
	LogSize     int    // of such a file, in MB, from 2, as a line can be 1 MiB
	LogFiles    int    // how many of a replica's that were full are kept, from 1
	Events      string // file that events are appended to; -: stdout, and nothing else there
	MetricsAddr string // where Prometheus' metrics are served
}

// report is where it goes.
type report struct {
	log        hclog.Logger
	console    *console
	quiet      bool       // no replica's lines on the console
	onlyEvents bool       // nor anything but events
	dir        *logDir    // nil: none
	events     *eventFile // nil: none
	metrics    *metrics   // nil: none

	listener net.Listener
	serving  sync.WaitGroup
}

// open opens what the flags name. List is the supervisor's, for the metrics.
func (f *reportFlags) open(stdout, stderr io.Writer, list func() []supervisor.Status) (*report, error) {
	r := &report{console: newConsole(stdout, f.LogJSON), quiet: f.Quiet || f.Events == "-", onlyEvents: f.Events == "-"}
	r.log = hclog.New(&hclog.LoggerOptions{
		Name: "supervisor", Output: r.console.beside(stderr), JSONFormat: f.LogJSON,
		Level: hclog.LevelFromString(f.LogLevel),
	})
	if f.LogDir != "" {
		r.dir = &logDir{
			dir: f.LogDir, megabytes: f.LogSize, backups: f.LogFiles, files: make(map[string]*logFile),
			failed: func(replica string, err error) {
				r.log.Error("replica's lines are not written to --log-dir", "replica", replica, "error", err)
			},
		}
		if err := os.MkdirAll(f.LogDir, 0o755); err != nil {
			return nil, fmt.Errorf("--log-dir: %w", err)
		}
	}
	if f.Events != "" {
		var err error
		if r.events, err = openEvents(f.Events, r.console, func(err error) {
			r.log.Error("no more events are written to --events", "error", err)
		}); err != nil {
			return nil, fmt.Errorf("--events: %w", err)
		}
	}
	if f.MetricsAddr == "" {
		return r, nil
	}
	l, err := net.Listen("tcp", f.MetricsAddr)
	if err != nil {
		r.close()
		return nil, fmt.Errorf("--metrics-addr: %w", err)
	}
	r.listener, r.metrics = l, newMetrics(list)
	r.serving.Go(func() {
		if err := r.metrics.serve(l); err != nil {
			r.log.Error("no more metrics are served", "error", err)
		}
	})
	return r, nil
}

// event is for Config.OnEvent.
func (r *report) event(e supervisor.Event) {
	if r.events != nil {
		r.events.write(e)
	}
	if r.metrics != nil {
		r.metrics.note(e)
	}
	switch e.Kind {
	case supervisor.EventAdded:
		r.console.align(e.Replica)
	case supervisor.EventRemoved:
		if r.dir != nil {
			r.dir.close(e.Replica)
		}
	}
	logEvent(r.log, e, !r.quiet)
}

// output is for Config.OnOutput.
func (r *report) output(replica string, line []byte) {
	if r.dir != nil {
		r.dir.line(replica, line, time.Now())
	}
	if !r.quiet {
		r.console.line(replica, line)
	}
}

// banner shows text on stdout, unless that is for events alone.
func (r *report) banner(text string) {
	if !r.onlyEvents {
		r.console.text(text)
	}
}

// close ends it all when the supervisor has ended.
func (r *report) close() {
	if r.listener != nil {
		r.listener.Close()
		r.serving.Wait()
	}
	if r.events != nil {
		if err := r.events.close(); err != nil {
			r.log.Error("cannot close --events", "error", err)
		}
	}
}
