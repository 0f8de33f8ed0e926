// Package report shows what a supervisor and its replicas do: in the log, on the console, in files
// and as metrics. None of these sinks waits for another; see package output.
package report

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/parse"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
	"example.com/crashlab/supervisor/transport"
)

// ClosePatience is how long Close waits for a sink that is stuck.
const ClosePatience = time.Second

// Flags configure the log and the replicas' lines.
type Flags struct {
	LogJSON  bool     `name:"log-json" help:"Log to stderr in JSON; the replicas' lines become JSON on stdout, with the replica's name."`
	LogLevel logLevel `default:"info" placeholder:"LEVEL" help:"Lowest level to log: trace, debug, info, warn, error or off. (default: ${default})"`
	Quiet    bool     `help:"Do not show the replicas' lines on stdout; the last lines before a crash are logged instead."`
}

// logLevel is the lowest level to log, with a name of hclog.
type logLevel string

func (l *logLevel) UnmarshalText(text []byte) error {
	v, err := parse.LogLevel(string(text))
	*l = logLevel(v)
	return err
}

// Report holds the open sinks.
type Report struct {
	Log hclog.Logger

	console    *console
	stderr     *output.Sink // nil: the log goes to the console
	quiet      bool         // the console does not show the replicas' lines
	onlyEvents bool         // the console shows only events
	dir        *logDir      // nil: none
	events     *eventFile   // nil: none
	metrics    *metrics     // nil: none

	listener net.Listener
	serving  sync.WaitGroup
}

// Open opens the sinks that the settings name. List is the method of the supervisor, for the
// metrics. The error names the flag.
func (f Flags) Open(s clusterfile.Settings, stdout, stderr io.Writer, list func() []status.Status) (*Report, error) {
	r := &Report{console: newConsole(stdout, f.LogJSON), quiet: f.Quiet || s.Events == "-", onlyEvents: s.Events == "-"}
	r.logLosses("stdout", &r.console.sink.Losses)
	r.openLog(stderr, f)
	if s.LogDir != "" {
		r.dir = &logDir{dir: s.LogDir, mode: s.FileMode, size: s.LogSize, backups: s.LogFiles}
		r.logLosses("log_dir", &r.dir.losses)
		if err := os.MkdirAll(s.LogDir, 0o755); err != nil {
			return nil, fmt.Errorf("--log-dir: %w", err)
		}
	}
	switch s.Events {
	case "":
	case "-":
		r.events = &eventFile{sink: &r.console.sink}
	default:
		var err error
		if r.events, err = openEvents(s.Events, s.FileMode); err != nil {
			return nil, fmt.Errorf("--events: %w", err)
		}
		r.logLosses("events", &r.events.sink.Losses)
	}
	return r, r.serveMetrics(s, list)
}

func (r *Report) openLog(stderr io.Writer, f Flags) {
	to := &r.console.sink // preserves the order of both
	if !r.console.shares(stderr) {
		r.stderr = &output.Sink{To: stderr}
		r.logLosses("stderr", &r.stderr.Losses)
		to = r.stderr
	}
	r.Log = hclog.New(&hclog.LoggerOptions{
		Name: "supervisor", Output: to, JSONFormat: f.LogJSON, Level: hclog.LevelFromString(string(f.LogLevel)),
	})
}

// logLosses logs how many lines a sink loses. The losses of the log itself are logged once it
// accepts lines again.
func (r *Report) logLosses(sink string, l *output.Losses) {
	l.Tell = func(source string, lines uint64, err error) {
		total, _ := l.Lost()
		args := []any{"sink", sink, "lines", lines, "total", total}
		if source != "" {
			args = append(args, "replica", source)
		}
		if err != nil {
			args = append(args, "error", err)
		}
		r.Log.Warn("lines lost", args...)
	}
}

func (r *Report) serveMetrics(s clusterfile.Settings, list func() []status.Status) error {
	if s.MetricsAddr == "" {
		return nil
	}
	config, err := s.Serve.Config(func(err error) {
		r.Log.Warn("renewed certificates cannot be used, the old ones stay in use", "error", err)
	})
	var l net.Listener
	if err == nil {
		l, err = transport.Listen(s.MetricsAddr, s.Serve.Enabled() || s.Insecure)
	}
	if err != nil {
		r.Close()
		return fmt.Errorf("--metrics-addr: %w", err)
	}
	l = control.LimitConnections(l)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	r.listener, r.metrics = l, newMetrics(list, r.Sinks)
	r.serving.Go(func() {
		if err := r.metrics.serve(l, r.Log); err != nil {
			r.Log.Error("the metrics server failed", "error", err)
		}
	})
	return nil
}

// Event is for supervisor.Config.OnEvent. It does not block.
func (r *Report) Event(e event.Event) {
	if r.events != nil {
		r.events.write(e)
	}
	if r.metrics != nil {
		r.metrics.note(e)
	}
	switch e.Kind {
	case event.KindAdded:
		r.console.align(e.Replica)
	case event.KindRemoved:
		if r.dir != nil {
			r.dir.close(e.Replica)
		}
	}
	logEvent(r.Log, e, !r.quiet)
}

// Output is for supervisor.Config.OnOutput. It blocks only for a file.
func (r *Report) Output(replica string, lines []byte) {
	if !r.quiet {
		r.console.write(replica, lines)
	}
	if r.dir != nil {
		r.dir.write(replica, lines, time.Now())
	}
}

// Align makes room for the names of replicas in front of their lines.
func (r *Report) Align(replicas ...spec.Replica) {
	for _, one := range replicas {
		r.console.align(one.Name)
	}
}

// Banner shows text on stdout, unless that is only for events.
func (r *Report) Banner(text string) {
	if !r.onlyEvents {
		r.console.text(text)
	}
}

// Reopen closes the files and opens those at their paths again. It returns when all are open, or
// the error of one that could not be opened, or when ctx has ended, because a file may hang.
func (r *Report) Reopen(ctx context.Context) error {
	var files []*output.File
	if r.dir != nil {
		files = r.dir.all()
	}
	if r.events.isFile() {
		files = append(files, r.events.file)
	}
	results := make(chan error, len(files))
	for _, f := range files {
		go func() { results <- f.Reopen() }()
	}
	var failed error
	for range files {
		select {
		case err := <-results:
			if err != nil {
				failed = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}

// Sinks returns the losses of each sink.
func (r *Report) Sinks() []control.Sink {
	var all []control.Sink
	add := func(name string, l *output.Losses) {
		lost, err := l.Lost()
		all = append(all, control.Sink{Name: name, Lost: lost, Err: err})
	}
	add("stdout", &r.console.sink.Losses)
	if r.stderr != nil {
		add("stderr", &r.stderr.Losses)
	}
	if r.events.isFile() {
		add("events", &r.events.sink.Losses)
	}
	if r.dir != nil {
		add("log_dir", &r.dir.losses)
	}
	return all
}

// Close closes all sinks after the supervisor has ended, in at most three times ClosePatience. The
// log is last, because it reports the losses of the others.
func (r *Report) Close() {
	if r.listener != nil {
		r.listener.Close()
		r.serving.Wait()
	}
	if r.events.isFile() {
		r.events.sink.Close(ClosePatience)
	}
	if r.dir != nil {
		r.dir.losses.Flush()
	}
	r.console.sink.Close(ClosePatience)
	if r.stderr != nil {
		r.stderr.Close(ClosePatience)
	}
}
