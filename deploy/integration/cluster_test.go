package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	faultv1 "example.com/crashlab/gen/fault/v1"
)

// cluster is a supervisor and its replicas a, b and c.
type cluster struct {
	*process
	addrs   []string // of the replicas; no other test uses them
	control string   // address of the control service; empty: there is none
	secure  func() credentials.TransportCredentials
	stopped bool // the test has ended it itself
}

// startCluster runs the supervisor with three replicas of counterd, with flags for both.
func startCluster(t testing.TB, supervisor []string, counterd ...string) *cluster {
	t.Helper()
	return startReplicas(t, 3, supervisor, counterd...)
}

// startReplicas is startCluster for n replicas.
func startReplicas(t testing.TB, n int, supervisor []string, counterd ...string) *cluster {
	t.Helper()
	command := []string{"--", "bin/counterd", "--addr={addr}", "--replica={name}", "--log-json"}
	flags := []string{"--stop-timeout=1m", fmt.Sprintf("--replicas=%d", n)}
	return launch(t, n, slices.Concat(flags, supervisor, command, counterd))
}

// withControl makes launch start the supervisor with a control service.
const withControl = "--control={control}"

// launch runs the supervisor with the arguments, and returns when n replicas serve. When the test
// ends, it stops them by Ctrl-C, unless the test has done so, and checks that nothing is left.
func launch(t testing.TB, n int, args []string) *cluster {
	t.Helper()
	return launchSecured(t, n, insecure.NewCredentials, args)
}

// launchSecured is launch for replicas to which the test connects with credentials.
func launchSecured(t testing.TB, n int, secure func() credentials.TransportCredentials, args []string) *cluster {
	t.Helper()
	for range 10 {
		base := freePorts(t, n+1)
		c := &cluster{control: addr(base + n), secure: secure}
		for i := range n {
			c.addrs = append(c.addrs, addr(base+i))
		}
		all := []string{"--log-json", fmt.Sprintf("--base-port=%d", base)}
		for _, arg := range args {
			if arg == withControl {
				arg = "--control=" + c.control
			}
			all = append(all, arg)
		}
		c.process = start(t, "supervisor", all...)
		if c.listens() {
			t.Cleanup(c.stop)
			for i := range c.addrs {
				c.awaitServing(i)
			}
			return c
		}
		// Another process has taken a port that was free.
		c.finish()
	}
	t.Fatal("no ports stay free")
	return nil
}

// listens waits until all replicas listen. It returns false if another process has taken one of
// their ports.
func (c *cluster) listens() bool {
	c.t.Helper()
	listening, failed := 0, 0
	c.seek(&c.stdout, "replicas that listen", func(line string) bool {
		switch {
		case strings.Contains(line, "cannot serve"):
			failed++
		case strings.Contains(line, "listening"):
			listening++
		}
		return failed > 0 || listening == len(c.addrs)
	})
	if listening == len(c.addrs) {
		return true
	}
	if !strings.Contains(c.stdout.String()+c.stderr.String(), "in use") {
		c.t.Fatal("the replicas do not listen")
	}
	return false
}

// stop ends the cluster by Ctrl-C, if it has not ended by itself, and checks that nothing is left.
func (c *cluster) stop() {
	c.t.Helper()
	if c.stopped {
		return
	}
	c.stopped = true
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Error(err)
	}
	code := c.exitCode()
	if given := c.events(func(e event) bool { return e.Message == "finished" }); len(given) == len(c.addrs) {
		code = 0 // it has ended by itself, and has reported crashes by its exit code
	}
	if code != 0 {
		c.t.Errorf("exit code of the supervisor is %d, want 0", code)
	}
	if n := len(c.launched()); n < len(c.addrs) {
		c.t.Errorf("%d launches: want at least %d", n, len(c.addrs))
	}
	if left := c.alive(); len(left) > 0 {
		c.t.Errorf("replica processes %v are alive after the end of the supervisor", left)
	}
}

// alive returns the processes of the replicas that run, of any incarnation.
func (c *cluster) alive() []int {
	var pids []int
	for _, e := range c.launched() {
		if i := strings.Index(letters, e.Replica); alive(e.PID, c.addrs[i]) {
			pids = append(pids, e.PID)
		}
	}
	return pids
}

// event is an event in the supervisor's log.
type event struct {
	Message     string `json:"@message"` // launched, exited, and so on
	Replica     string
	Incarnation int
	PID         int
	ExitCode    *int `json:"exit_code"` // nil: it was ended by a signal, or has not ended
	Signal      string
}

// exit says how the process ended.
func (e event) exit() string {
	if e.ExitCode == nil {
		return e.Signal
	}
	return fmt.Sprintf("code %d", *e.ExitCode)
}

// parse returns false for other lines, such as an error before logging begins.
func (e *event) parse(line string) bool {
	*e = event{}
	return json.Unmarshal([]byte(line), e) == nil && e.Message != ""
}

// events returns the events so far for which selected returns true.
func (c *cluster) events(selected func(event) bool) []event {
	var all []event
	for _, line := range c.stderr.all() {
		var e event
		if e.parse(line) && selected(e) {
			all = append(all, e)
		}
	}
	return all
}

// awaitEvent waits for an event with this name about an incarnation of the i-th replica, and
// returns it.
func (c *cluster) awaitEvent(name string, i, incarnation int) event {
	c.t.Helper()
	var e event
	c.await(&c.stderr, fmt.Sprintf("%q of replica %s, incarnation %d", name, letter(i), incarnation), func(line string) bool {
		return e.parse(line) && e.Message == name && e.Replica == letter(i) && e.Incarnation == incarnation
	})
	return e
}

// letters are the names of the replicas, in order.
const letters = "abc"

// letter returns the name of the i-th replica.
func letter(i int) string { return letters[i : i+1] }

// launched returns the launches of all incarnations so far.
func (c *cluster) launched() []event {
	return c.events(func(e event) bool { return e.Message == "launched" })
}

// kill kills the first incarnations of the replicas with these indexes, and returns when the
// supervisor has noticed.
func (c *cluster) kill(replicas ...int) {
	c.t.Helper()
	for _, i := range replicas {
		if err := syscall.Kill(c.awaitEvent("launched", i, 1).PID, syscall.SIGKILL); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, i := range replicas {
		if e := c.awaitEvent("exited", i, 1); e.exit() != "SIGKILL" {
			c.t.Errorf("replica %s ended with %s, want SIGKILL", letter(i), e.exit())
		}
	}
}

// dial returns a connection to the i-th replica, without failover.
func (c *cluster) dial(i int) *grpc.ClientConn {
	c.t.Helper()
	return c.dialAt(c.addrs[i])
}

// dialAt returns a connection to one address, without failover.
func (c *cluster) dialAt(addr string) *grpc.ClientConn {
	c.t.Helper()
	config := backoff.DefaultConfig
	config.BaseDelay, config.MaxDelay = 10*time.Millisecond, 100*time.Millisecond
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(c.secure()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: config, MinConnectTimeout: patience}))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return conn
}

// awaitServing waits until the i-th replica is healthy.
func (c *cluster) awaitServing(i int) {
	c.t.Helper()
	conn := c.dial(i)
	defer conn.Close()
	for ctx := patiently(c.t); ; {
		reply, err := healthv1.NewHealthClient(conn).Check(ctx, new(healthv1.HealthCheckRequest), grpc.WaitForReady(true))
		if reply.GetStatus() == healthv1.HealthCheckResponse_SERVING {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("health of replica %s: %v, %v", letter(i), reply.GetStatus(), err)
		}
	}
}

// setFaults changes the faults of the i-th replica.
func (c *cluster) setFaults(i int, req *faultv1.SetRequest) {
	c.t.Helper()
	if _, err := faultv1.NewFaultClient(c.dial(i)).Set(patiently(c.t), req, grpc.WaitForReady(true)); err != nil {
		c.t.Fatal(err)
	}
}

// target returns the failover target of the replicas with these indexes, in this order, or else of
// all of them.
func (c *cluster) target(order ...int) string {
	addrs := c.addrs
	if len(order) > 0 {
		addrs = nil
		for _, i := range order {
			addrs = append(addrs, c.addrs[i])
		}
	}
	return "static:///" + strings.Join(addrs, ",")
}

// patiently returns a context that only a hang can outlast.
func patiently(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
