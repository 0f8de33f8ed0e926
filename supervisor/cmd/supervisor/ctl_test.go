package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// controlled is a supervisor in this process, controlled by the real program.
type controlled struct {
	*supervisor.Supervisor
	addr string
	halt func() // ends the supervisor
	end  func() // ends its control service
}

// sleepers returns n replicas that do nothing, named after their group.
func sleepers(group string, n int) spec.Group {
	return spec.Group{Name: group, Count: n, Replica: func(i int) spec.Replica {
		return spec.Replica{Name: fmt.Sprint(group, i), Args: []string{"sleep", "300"}, Addr: fmt.Sprintf("127.0.0.1:%d", 7101+i), StopTimeout: time.Hour}
	}}
}

func startControlled(t *testing.T, l net.Listener, groups ...spec.Group) *controlled {
	t.Helper()
	running, stop := context.WithCancel(context.Background())
	serving, stopServing := context.WithCancel(context.Background())
	s, err := supervisor.New(supervisor.Config{Groups: groups, Stay: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &controlled{Supervisor: s, addr: l.Addr().String()}
	if l.Addr().Network() == "unix" {
		c.addr = "unix://" + c.addr
	}
	server := control.Server{Supervisor: c.Supervisor}
	var ran, served sync.WaitGroup
	ran.Go(func() {
		if err := c.Run(running); err != nil {
			t.Error(err)
		}
	})
	served.Go(func() {
		if err := server.Serve(serving, l); err != nil {
			t.Error(err)
		}
	})
	c.halt = func() {
		stop()
		ran.Wait()
	}
	c.end = func() {
		c.halt()
		stopServing()
		served.Wait()
	}
	t.Cleanup(c.end)
	want := 0
	for _, g := range groups {
		want += g.Count
	}
	c.until(t, func(all []status.Status) bool {
		return len(all) == want && !slices.ContainsFunc(all, func(s status.Status) bool { return s.State != status.StateReady })
	})
	return c
}

func (c *controlled) until(t *testing.T, ok func([]status.Status) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for after := c.Sequence(); !ok(c.List()); after = c.Sequence() {
		for range c.Watch(ctx, after) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("still %+v", c.List())
		}
	}
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := control.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// runCtl runs supervisor ctl to its end.
func runCtl(t *testing.T, addr string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"ctl"}, args...)...)
	cmd.Env = append(os.Environ(), "SUPERVISOR_CONTROL="+addr)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// shows checks that supervisor ctl succeeds, and its output, line by line.
func shows(t *testing.T, addr string, want []string, args ...string) {
	t.Helper()
	stdout, stderr, code := runCtl(t, addr, args...)
	if lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n"); code != 0 || stderr != "" || !matchLines(lines, want) {
		t.Errorf("ctl %q: exit code %d, stderr %q, stdout\n%swant\n%s", args, code, stderr, stdout, strings.Join(want, "\n"))
	}
}

func matchLines(lines, want []string) bool {
	if len(lines) != len(want) {
		return false
	}
	for i, line := range lines {
		if !regexp.MustCompile("^" + want[i] + "$").MatchString(line) {
			return false
		}
	}
	return true
}

const (
	ctlHeader = "REPLICA +STATE +PID +INCARNATION +UPTIME +RESTARTS +LAST EXIT"
	ctlUp     = `[\d.dhms]+`
	ctlAgo    = `, ` + ctlUp + ` ago`
)

func TestCtlShowsAndCommandsReplicas(t *testing.T) {
	c := startControlled(t, loopback(t), sleepers("web", 2))
	shows(t, c.addr, []string{ctlHeader,
		`web0 +ready +\d+ +1 +` + ctlUp + ` +0 +-`,
		`web1 +ready +\d+ +1 +` + ctlUp + ` +0 +-`}, "list")
	shows(t, c.addr, []string{ctlHeader, `web1 +stopped +- +1 +- +0 +SIGTERM` + ctlAgo}, "stop", "web1")
	shows(t, c.addr, []string{ctlHeader, `web1 +(starting|waiting 0s|ready) +.*`}, "start", "web1")
	c.until(t, func(all []status.Status) bool { return all[1].State == status.StateReady })
	shows(t, c.addr, []string{ctlHeader, `web0 +ready +\d+ +2 +.* 1 +SIGTERM` + ctlAgo, `web1 +ready +\d+ +3 .*`}, "restart", "--all")
	shows(t, c.addr, []string{""}, "signal", "KILL", "web0")
	c.until(t, func(all []status.Status) bool {
		return all[0].Incarnation == 3 && all[0].State == status.StateReady
	})
	shows(t, c.addr, []string{ctlHeader, `web0 .* SIGKILL` + ctlAgo}, "scale", "1")
	shows(t, c.addr, []string{"restart on-failure after 1.5s, limit 3 exits in 1h0m0s, then stop-all"},
		"set-policy", "--restart", "on-failure", "--restart-delay", "1.5s", "--limit-exits", "3", "--limit-window", "1h", "--limit-then", "stop-all")
	shows(t, c.addr, []string{
		`replica +web0`, `group +web`, `address +127.0.0.1:7101`, `state +ready`, `pid +\d+`, `incarnation +3`, `uptime +` + ctlUp,
		`ready for +` + ctlUp, `cpu +.+`, `memory +.+`, `restarts +2`, `exits +1, of which \d never ready`, `last exit +SIGKILL` + ctlAgo, `lost lines +0`,
		`policy +restart on-failure after 1.5s, limit 3 exits in 1h0m0s, then stop-all`}, "get", "web0")
	shows(t, c.addr, []string{
		`\d\d:\d\d:\d\d\.\d{3} #\d+ web0 stopping incarnation=3 pid=\d+ reason="a rolling restart"`,
		`.* web0 exited incarnation=3 pid=\d+ signal=SIGTERM uptime=.*`,
		`.* web0 launched incarnation=4 pid=\d+`, `.* web0 ready incarnation=4 pid=\d+ after=.*`}, "rolling-restart", "web")
}

// A wide table includes the usage of replicas.
func TestCtlShowsUsage(t *testing.T) {
	c := startControlled(t, loopback(t), sleepers("web", 2))
	cpu, memory := ctlUp, `[\d.]+ MB`
	if runtime.GOOS != "linux" {
		cpu, memory = "-", "-"
	}
	shows(t, c.addr, []string{strings.Replace(ctlHeader, "UPTIME", "UPTIME +CPU +MEMORY", 1),
		`web0 +ready +\d+ +1 +` + ctlUp + ` +` + cpu + ` +` + memory + ` +0 +-`,
		`web1 +ready +\d+ +1 +` + ctlUp + ` +` + cpu + ` +` + memory + ` +0 +-`}, "list", "--wide")
}

// A table of several groups has a column for them.
func TestCtlListShowsGroups(t *testing.T) {
	c := startControlled(t, loopback(t), sleepers("web", 1), sleepers("db", 1))
	shows(t, c.addr, []string{`REPLICA +GROUP +STATE .*`, `web0 +web +ready .*`, `db0 +db +ready .*`}, "list")
}

func TestCtlJSONIsOneLineEach(t *testing.T) {
	c := startControlled(t, loopback(t), sleepers("web", 2))
	for _, args := range [][]string{{"list", "-o", "json"}, {"get", "-o", "json", "web1"}} {
		stdout, stderr, code := runCtl(t, c.addr, args...)
		lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		for _, line := range lines {
			var s supervisorv1.Status
			if err := protojson.Unmarshal([]byte(line), &s); err != nil || s.GetPid() == 0 || !strings.Contains(line, `"restarts":0`) || (s.Memory == nil) == (runtime.GOOS == "linux") {
				t.Errorf("%q: %v", line, err)
			}
		}
		if code != 0 || stderr != "" || args[0] == "list" && len(lines) != 2 {
			t.Errorf("%q: exit code %d, stderr %q, %d lines", args, code, stderr, len(lines))
		}
	}
}

func TestCtlErrors(t *testing.T) {
	c := startControlled(t, loopback(t), sleepers("web", 1))
	gone := refusing(t)
	other := loopback(t)
	server := grpc.NewServer()
	go server.Serve(other)
	defer server.Stop()
	replica := other.Addr().String()
	for _, tc := range []struct {
		addr, args string
		code       int
		message    string
	}{
		{c.addr, "stop", 2, "want names of replicas or groups, or --all; see supervisor ctl list"},
		{c.addr, "restart web --all", 2, "want names of replicas or groups, or --all"},
		{c.addr, "rolling-restart", 2, "want names of replicas or groups, or --all"},
		{c.addr, "signal kill", 2, "want names of replicas or groups, or --all"},
		{c.addr, "signal nuke web", 2, `"nuke": want hup, int, `},
		{c.addr, "scale many", 2, `"many": want a whole number from 0`},
		{c.addr, "set-policy", 2, "nothing to change: want a flag such as --restart-delay"},
		{c.addr, "set-policy --restart maybe", 2, `--restart "maybe": want always, on-failure or never`},
		{c.addr, "set-policy --limit-then x", 2, `--limit-then "x": want isolate, stop-all or restart-all`},
		{c.addr, "set-policy --backoff-factor x", 2, `--backoff-factor "x": want a number`},
		{c.addr, "watch --after x", 2, `--after "x": want the number of an event`},
		{c.addr, "list --tls-ca missing", 2, "--tls-ca: open missing: no such file"},
		{c.addr, "list --tls-ca=", 2, `--tls-ca`},
		{"unix:///s", "list --tls-ca x", 2, "--tls-ca: unix:///s: a Unix socket has no TLS: omit the --tls flags"},
		{c.addr, "list --control nowhere", 2, `--control: "nowhere": want HOST:PORT or unix:///PATH`},
		{"nowhere", "list", 2, `SUPERVISOR_CONTROL: "nowhere": want HOST:PORT or unix:///PATH`},
		{c.addr, "stop x", 1, `"x": no such replica or group: want one of web0`},
		{c.addr, "get x", 1, `"x": no such replica or group`},
		{c.addr, "reload", 1, "this supervisor was started without a cluster file"},
		{c.addr, "set-policy --backoff-jitter 2", 1, "backoff jitter 2: want 0 to 1"},
		{replica, "list", 1, "the server at " + replica + " is not a supervisor: unknown service supervisor.v1.Supervisor"},
		{c.addr, "watch --after 999", 1, "not kept"},
		{gone, "list", 1, "no supervisor answers at " + gone + ": dial tcp " + gone +
			": connect: connection refused; give its address with --control or SUPERVISOR_CONTROL"},
		{gone, "list --watch", 1, "connection refused"},
	} {
		stdout, stderr, code := runCtl(t, tc.addr, strings.Fields(tc.args)...)
		if code != tc.code || stdout != "" || !strings.Contains(stderr, tc.message) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("ctl %s: exit code %d, stdout %q, stderr %q, want %d and %q", tc.args, code, stdout, stderr, tc.code, tc.message)
		}
	}
	if s, err := c.Get("web0"); err != nil || s.Incarnation != 1 || s.State != status.StateReady {
		t.Errorf("what was refused has done something: %+v, %v", s, err)
	}
}

// ctlLines runs supervisor ctl and returns its output, line by line. The channel is closed when it
// ends, which must be with exit code 0.
func ctlLines(t *testing.T, addr string, args ...string) <-chan string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"ctl", "--control", addr}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := make(chan string, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		text, err := io.ReadAll(tee(out, written))
		close(written)
		if waited := cmd.Wait(); err != nil || waited != nil {
			t.Errorf("ctl %q: %v, %v after %q", args, err, waited, text)
		}
	}()
	stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		<-ended
		stuck.Stop()
	})
	return written
}

// tee also sends the lines that are read.
func tee(r io.Reader, to chan<- string) io.Reader {
	var part string
	return io.TeeReader(r, writer(func(text []byte) {
		part += string(text)
		for {
			line, rest, ok := strings.Cut(part, "\n")
			if !ok {
				return
			}
			to <- line
			part = rest
		}
	}))
}

type writer func([]byte)

func (w writer) Write(text []byte) (int, error) {
	w(text)
	return len(text), nil
}

func TestCtlWatchUntilTheSupervisorEnds(t *testing.T) {
	c := startControlled(t, loopback(t), sleepers("web", 1))
	watch, table := ctlLines(t, c.addr, "watch", "--after", "0"), ctlLines(t, c.addr, "list", "--watch")
	for _, want := range []string{`web0 added`, `web0 launched incarnation=1 pid=\d+`, `web0 ready incarnation=1 pid=\d+ after=.*`} {
		if line := <-watch; !regexp.MustCompile(`^\S+ #\d+ ` + want + "$").MatchString(line) {
			t.Errorf("got %q, want %q", line, want)
		}
	}
	if a, b := <-table, <-table; !matchLines([]string{a, b}, []string{ctlHeader, `web0 +ready .*`}) {
		t.Errorf("got %q and %q, want a table", a, b)
	}
	if err := c.Stop(t.Context(), "web0"); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for line := range table {
		if shown = append(shown, line); strings.Contains(line, "stopped") {
			break
		}
	}
	if !slices.Contains(shown, "") || !slices.ContainsFunc(shown, func(s string) bool { return strings.HasPrefix(s, "REPLICA") }) {
		t.Errorf("got %q, want another table, apart from the first", shown)
	}
	c.halt() // the control service continues until the watchers know
	var last string
	for line := range watch {
		last = line
	}
	if !strings.Contains(last, "web0 removed") {
		t.Errorf("the last line is %q, want the replica's end", last)
	}
	for range table {
	}
}

func TestCtlOverAUnixSocket(t *testing.T) {
	l, err := control.Listen("unix://"+socketDir(t)+"/s", false)
	if err != nil {
		t.Fatal(err)
	}
	c := startControlled(t, l, sleepers("web", 1))
	shows(t, c.addr, []string{ctlHeader, `web0 +ready .*`}, "list")
}
