package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/cmd/supervisor/report"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/inputfile"
)

type runCmd struct {
	Config     string            `group:"Replicas" placeholder:"FILE" help:"Cluster file (YAML). Flags override its values; SIGHUP reloads it."`
	Flags      clusterfile.Flags `embed:""`
	Report     report.Flags      `embed:"" group:"Log and output"`
	DumpStacks bool              `group:"Log and output" help:"At SIGQUIT, which stops like SIGTERM, log the stacks of all goroutines first."`

	stdout, stderr io.Writer
	manager        serviceManager
}

// Help shows the forms of the command line and examples.
func (runCmd) Help() string {
	return `The command comes from a cluster file, or from the end of the command line, behind --. In its arguments, {name}, {index}, ` +
		`{addr} and {port} stand for the values of each replica.

Examples:

    # the cluster of a file, which describes all settings
    supervisor --config deploy/cluster.yaml
    # three replicas of a command, on ports 7101 to 7103
    supervisor --restart-delay 1s -- counterd --addr {addr} --replica {name}

Other commands; each has a help page of its own:

    supervisor ctl list       # see supervisor ctl --help
    supervisor check FILE     # see supervisor check --help`
}

// Run supervises the cluster until a signal, or until nothing is left to run.
func (r *runCmd) Run() error {
	err := keepDescriptors()
	if err != nil {
		return err
	}
	if r.manager, err = findServiceManager(); err != nil {
		return inputfile.Place{}.Errorf("%v", err)
	}
	c, err := clusterfile.Read(r.Config, r.Flags)
	if err != nil {
		return err
	}
	if c.StateDir != "" {
		unlock, err := lock(c.StateDir)
		if err != nil {
			return err
		}
		defer unlock()
	}
	if err := c.CheckFree(func(string) bool { return false }); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return r.supervise(c, []string{self, "guard"})
}

// supervise runs the cluster, with its reports and the control service.
func (r *runCmd) supervise(c *clusterfile.Cluster, guardian []string) error {
	var out *report.Report
	warn := func(err error) {
		out.Log.Warn("renewed certificates cannot be used, the old ones stay in use", "error", err)
	}
	prober := new(control.Prober)
	defer prober.Close()
	dialTLS, err := c.Ask.Dialer(warn)
	if err == nil {
		prober.Credentials, err = c.Ask.Credentials(warn)
	}
	if err != nil {
		return err
	}
	var result *outcome
	s, err := supervisor.New(supervisor.Config{
		Groups: c.Groups, Stay: c.Control != "", MaxStarting: c.MaxStarting, Health: prober.Health, DialTLS: dialTLS, Guardian: guardian,
		OnEvent:  func(e event.Event) { out.Event(e); result.note(e) },
		OnOutput: func(replica string, lines []byte) { out.Output(replica, lines) },
	})
	if err != nil {
		return err
	}
	out, err = r.Report.Open(c.Settings, r.stdout, r.stderr, s.List)
	if err != nil {
		return err
	}
	defer out.Close()
	out.Align(c.Replicas...)
	r.manager.log = out.Log
	result = newOutcome(c.Replicas, func() {
		if c.Banner != "" {
			out.Banner(c.Banner)
		}
		r.manager.report(serviceReady)
	})
	listener, err := listenControl(c.Settings, warn)
	if err != nil {
		return err
	}
	var reloads *reloader
	var reload func(context.Context) error // nil: there is no file
	if c.Path != "" {
		reloads = &reloader{now: c, supervisor: s, control: listener}
		reload = reloads.reload
	}
	defer startControl(listener, &control.Server{Supervisor: s, Reload: reload, Reopen: out.Reopen, Sinks: out.Sinks}, out.Log)()
	switch how, err := r.untilSignal(s, reloads, out); {
	case err != nil:
		return err
	case how == endingByForce:
		return errors.New("killed all replicas, at a second signal or because stopping took too long")
	case how == endingBySignal:
		return nil
	}
	return result.err()
}

// untilSignal runs s until a signal, or until nothing is left to run. Reloads is nil if there is no
// file.
func (r *runCmd) untilSignal(s *supervisor.Supervisor, reloads *reloader, out *report.Report) (how ending, err error) {
	log := out.Log
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var others sync.WaitGroup
	var reload func()
	if reloads != nil {
		reload = func() {
			others.Go(func() { reopenAndLog(ctx, out) })
			others.Go(func() { reloads.reloadAndLog(ctx, log) })
		}
	}
	caught := catchSignals(log, reload, func() time.Duration { return longestStop(s.Current()) })
	if r.DumpStacks {
		caught.dump = func() { log.Info("stacks of all goroutines", "stacks", stacks()) }
	}
	ended := make(chan struct{})
	stop := func() {
		cancel()
		others.Go(func() { r.manager.report(serviceStopping) })
	}
	others.Go(func() { how = caught.obey(ended, stop, s.Kill) })
	watched, unwatch := context.WithCancel(context.Background())
	others.Go(func() { r.manager.feedWatchdog(watched, func() { s.List() }) })
	err = s.Run(ctx)
	unwatch()
	cancel()
	close(ended)
	others.Wait()
	return how, err
}

func reopenAndLog(ctx context.Context, out *report.Report) {
	if err := out.Reopen(ctx); err != nil && ctx.Err() == nil {
		out.Log.Error("some files could not be reopened", "error", err)
	}
}

// stacks returns the stacks of all goroutines, up to 1 MiB.
func stacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}
