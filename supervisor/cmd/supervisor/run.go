package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor"
)

const (
	// bannerPatience is how long the banner waits for replicas to listen.
	bannerPatience = 5 * time.Second
	// logPatience is how long a signal waits for its line in the log.
	logPatience = 100 * time.Millisecond
	// killPatience is how long the end after a second signal may take.
	killPatience = 2 * time.Second
	// dialPause is the pause between two looks whether a replica listens.
	dialPause = 20 * time.Millisecond
)

type runCmd struct {
	Config   string   `placeholder:"FILE" help:"Cluster file (YAML); flags override its values"`
	Settings settings `embed:""`
	LogJSON  bool     `name:"log-json" help:"Log JSON, not text, to stderr"`
	LogLevel string   `enum:"trace,debug,info,warn,error,off" default:"info" help:"Least level to log: ${enum} (default ${default})"`
	Command  []string `kong:"-"` // behind "--"

	stdout, stderr io.Writer
}

// Run supervises the cluster until a signal, or until all replicas were given up.
func (r *runCmd) Run() error {
	in := input{flags: r.Settings, command: r.Command}
	if r.Config != "" {
		f, err := load(r.Config)
		if err != nil {
			return err
		}
		in.file = f
	}
	c, err := in.cluster()
	if err != nil {
		return err
	}
	if err := c.checkPorts(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := hclog.New(&hclog.LoggerOptions{
		Name: "supervisor", Output: r.stderr, JSONFormat: r.LogJSON, Level: hclog.LevelFromString(r.LogLevel),
	})
	return r.supervise(c, log, []string{self, "guard"})
}

func (r *runCmd) supervise(c *cluster, log hclog.Logger, guardian []string) error {
	out := newConsole(r.stdout, c.replicas)
	launched := newLaunches(len(c.replicas))
	s := &supervisor.Supervisor{
		Replicas: c.replicas, Policy: c.policy, StopTimeout: c.stopTimeout, Guardian: guardian,
		OnEvent: func(e supervisor.Event) {
			logEvent(log, e)
			launched.note(e)
		},
		OnOutput: out.line,
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	// Never given back: a signal that comes as all has ended must not turn a good end into a bad one.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// Whoever reads our output may end before us, at the same Ctrl-C even: that must not end us before the replicas.
	// Caught and left alone, not ignored, for the replicas would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	var forced bool
	ended := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { forced = obey(signals, ended, log, cancel, s.Kill) })
	others.Go(func() { showBanner(ctx, c, launched.all, log, out) })
	err := s.Run(ctx)
	cancel()
	close(ended)
	others.Wait()
	if err == nil && forced {
		err = errors.New("killed all replicas at the second signal")
	}
	return err
}

// obey turns the first signal into a stop and the second into a kill. The
// third is the system's, should even that hang. It returns at ended, and
// whether it came to the kill.
func obey(signals chan os.Signal, ended <-chan struct{}, log hclog.Logger, stop, kill func()) (forced bool) {
	select {
	case sig := <-signals:
		say(log, "stopping; a second signal kills at once", "signal", signalName(sig))
		stop()
	case <-ended:
		return false
	}
	select {
	case <-signals:
		signal.Stop(signals)
		kill()
		// The replicas die with us, should the log or the output be stuck for ever.
		time.AfterFunc(killPatience, func() { os.Exit(1) })
		return true
	case <-ended:
		return false
	}
}

// say logs, but does not wait for a log that is stuck, as behind Ctrl-S: signals must be obeyed all the same.
func say(log hclog.Logger, text string, args ...any) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		log.Info(text, args...)
	}()
	select {
	case <-said:
	case <-time.After(logPatience):
	}
}

// launches knows when each replica has been launched once.
type launches struct {
	missing int
	all     chan struct{} // closed then
}

func newLaunches(n int) *launches { return &launches{n, make(chan struct{})} }

func (l *launches) note(e supervisor.Event) {
	if e.Kind != supervisor.Launched || e.Incarnation != 1 {
		return
	}
	if l.missing--; l.missing == 0 {
		close(l.all)
	}
}

// showBanner prints the banner as soon as the replicas can be called, or have
// been given the time to.
func showBanner(ctx context.Context, c *cluster, launched <-chan struct{}, log hclog.Logger, out *console) {
	if c.banner == "" {
		return
	}
	patience, cancel := context.WithTimeout(ctx, bannerPatience)
	defer cancel()
	select {
	case <-launched:
	case <-patience.Done():
	}
	for i, addr := range c.addrs {
		if c.listens && !listening(patience, addr) && ctx.Err() == nil {
			log.Warn("not listening yet", "replica", c.replicas[i].Name, "addr", addr)
		}
	}
	if ctx.Err() == nil {
		out.text(c.banner)
	}
}

// listening waits until something accepts connections at addr, or ctx ends.
func listening(ctx context.Context, addr string) bool {
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
			return true
		}
		select {
		case <-time.After(dialPause):
		case <-ctx.Done():
			return false
		}
	}
}
