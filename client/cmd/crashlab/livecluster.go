package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/inputfile"
)

// ownCluster is a cluster that was started for a live session, with its control service.
type ownCluster struct {
	addr   string // of the control service
	cancel context.CancelFunc
	quiet  context.CancelFunc // ends the control service, after the cluster
	ended  sync.WaitGroup
	prober control.Prober
}

// startCluster starts the cluster of the file, and returns once the supervisor lists its replicas.
// Warn is as for transport.Client.
func (l *liveCmd) startCluster(warn func(error)) (*ownCluster, error) {
	c, err := l.readCluster()
	if err != nil {
		return nil, err
	}
	own := new(ownCluster)
	listed := newCountdown(len(c.Replicas))
	s, err := own.supervisor(c, listed.note, warn)
	if err != nil {
		return nil, err
	}
	var creds credentials.TransportCredentials
	if !strings.HasPrefix(c.Control, "unix:") {
		if creds, err = c.Serve.Credentials(warn); err != nil {
			return nil, err
		}
	}
	listener, err := control.Listen(c.Control, c.Serve.Enabled() || c.Insecure)
	if err != nil {
		return nil, fmt.Errorf("--cluster %s: control: %w", l.Cluster, err)
	}
	failed := own.run(s, &control.Server{Supervisor: s, Credentials: creds}, listener)
	select {
	case <-listed.done:
		return own, nil
	case err := <-failed:
		own.stop()
		return nil, err
	}
}

// readCluster reads the file and checks that its ports are free. If the file has no control
// service, the cluster gets one at a free port.
func (l *liveCmd) readCluster() (*clusterfile.Cluster, error) {
	c, err := clusterfile.Read(l.Cluster, clusterfile.Flags{})
	if err != nil {
		return nil, &exit{exitUsage, strings.ReplaceAll(inputfile.Text(err), "--config", "--cluster")}
	}
	if c.Control == "" {
		c.Control = "127.0.0.1:0"
	} else if conn, err := net.DialTimeout("tcp", c.Control, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("--cluster %s: a supervisor runs at %s already: want --control %[2]s, which attaches to it, or stop it first", l.Cluster, c.Control)
	}
	if err := c.CheckFree(func(string) bool { return false }); err != nil {
		what, _, _ := strings.Cut(err.Error(), ";")
		return nil, fmt.Errorf("--cluster %s: %s: want another base_port there, or --control ADDR to attach to a cluster that runs", l.Cluster, what)
	}
	return c, nil
}

// supervisor returns the supervisor of a cluster.
func (o *ownCluster) supervisor(c *clusterfile.Cluster, onEvent func(event.Event), warn func(error)) (*supervisor.Supervisor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dialTLS, err := c.Ask.Dialer(warn)
	if err == nil {
		o.prober.Credentials, err = c.Ask.Credentials(warn)
	}
	if err != nil {
		return nil, err
	}
	return supervisor.New(supervisor.Config{
		Groups: c.Groups, Stay: true, MaxStarting: c.MaxStarting, Health: o.prober.Health, DialTLS: dialTLS,
		Guardian: []string{self, guardCommand}, OnEvent: onEvent,
	})
}

// countdown closes done when a number of replicas have been added.
type countdown struct {
	left int
	done chan struct{}
}

func newCountdown(n int) *countdown {
	c := &countdown{n, make(chan struct{})}
	if n == 0 {
		close(c.done)
	}
	return c
}

// note counts an event. It must be called by one goroutine at a time.
func (c *countdown) note(e event.Event) {
	if e.Kind == event.KindAdded && c.left > 0 {
		if c.left--; c.left == 0 {
			close(c.done)
		}
	}
}

// run starts the supervisor and its control service, which ends a little later. It returns a
// channel that receives the error of the supervisor, if there is one.
func (o *ownCluster) run(s *supervisor.Supervisor, server *control.Server, listener net.Listener) <-chan error {
	if o.addr = listener.Addr().String(); listener.Addr().Network() == "unix" {
		o.addr = "unix://" + o.addr
	}
	running, cancel := context.WithCancel(context.Background())
	serving, quiet := context.WithCancel(context.Background())
	o.cancel, o.quiet = cancel, quiet
	failed := make(chan error, 1)
	o.ended.Go(func() {
		defer quiet()
		if err := s.Run(running); err != nil {
			failed <- err
		}
	})
	o.ended.Go(func() { _ = server.Serve(serving, listener) }) // for the session, a failure is a lost connection
	return failed
}

// stop stops the cluster, and returns when no process is left.
func (o *ownCluster) stop() {
	o.cancel()
	o.ended.Wait()
	o.prober.Close()
}
