package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	counterv1 "example.com/crashlab/gen/counter/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// controlled is a cluster with a control service.
type controlled struct {
	*cluster
	supervisorv1.SupervisorClient
}

// startControlled runs the supervisor with a cluster file of three replicas.
func startControlled(t *testing.T, file string, flags ...string) *controlled {
	t.Helper()
	c := &controlled{cluster: launch(t, 3, append([]string{"--config=" + file, withControl}, flags...))}
	conn, err := grpc.NewClient("passthrough:///"+c.control, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.SupervisorClient = supervisorv1.NewSupervisorClient(conn)
	return c
}

// healthy is a cluster file of replicas that do not crash by themselves, and are not killed for
// being slow.
const healthy = `
replicas: 3
ready: {kind: grpc, service: counter.v1.Counter}
alive: {kind: grpc, period: 500ms, timeout: 500ms, threshold: 240}
stop_timeout: 1m
command: [../bin/counterd, "--addr={addr}", "--replica={name}", --log-json]
`

// ctl runs supervisor ctl until it ends.
func (c *controlled) ctl(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	t := c.t.(*testing.T)
	return run(t, "supervisor", append([]string{"ctl", "--control=" + c.control}, args...)...)
}

// mustCtl runs supervisor ctl, which must succeed, and returns its output.
func (c *controlled) mustCtl(args ...string) string {
	c.t.Helper()
	code, stdout, stderr := c.ctl(args...)
	if code != 0 {
		c.t.Fatalf("ctl %q ends with %d: %s", args, code, stderr)
	}
	return stdout
}

// With the committed cluster file, a replica that hangs is replaced.
func TestStoppedReplicaIsReplaced(t *testing.T) {
	long(t, "2 s until a replica is found to hang")
	t.Parallel()
	c := startControlled(t, clusterFile, "--stop-timeout=1m")
	c.ctl("signal", "stop", "b") // on a slow machine b may have been replaced already
	if e := c.awaitEvent("exited", 1, 1); e.exit() != "SIGKILL" {
		t.Errorf("b ended with %s, want SIGKILL", e.exit())
	}
	c.await(&c.stderr, "another incarnation of b that is ready", func(line string) bool {
		var e event
		return e.parse(line) && e.Message == "ready" && e.Replica == "b" && e.Incarnation > 1
	})
	c.awaitServing(1)
}

// Rolling restarts under load: each replica has calls in flight when it is stopped.
func TestSoakRollingRestartLosesNoCall(t *testing.T) {
	besideOthers(t)
	c := startControlled(t, write(t, strings.Replace(healthy, "--log-json", "--log-json, --service-time=5ms", 1)))
	cl := newClient(t, c.target(), failover.Policy{Timeout: patience, Rounds: 3, Order: failover.OrderRoundRobin})
	failed := newMistakes(t)
	crew := startCrew(t, 8, 1, patience, func(ctx context.Context, number int) {
		if _, err := cl.counter.Get(ctx, new(counterv1.GetRequest)); err != nil {
			failed.add("call %d: %v", number, err)
		}
	})
	rolls := scale(2, 100)
	for range rolls {
		crew.pass() // all workers have begun
		stream, err := c.RollingRestart(t.Context(), &supervisorv1.RollingRestartRequest{All: true})
		for err == nil {
			_, err = stream.Recv()
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	crew.stop()
	for i := range c.addrs {
		c.awaitEvent("ready", i, 1+rolls)
	}
	t.Logf("%d calls through %d rolling restarts", crew.ended.Load(), rolls)
}

// A replica that does not come back ends a rolling restart, and the others keep running.
func TestRollingRestartStopsAtAFailure(t *testing.T) {
	t.Parallel()
	file := write(t, healthy)
	c := startControlled(t, file)
	// A relaunched replica cannot listen.
	text := strings.Replace(healthy, `"--addr={addr}"`, `"--addr=no such address"`, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := c.ctl("reload")
	if code != 1 || !strings.Contains(stderr, "replica a") {
		t.Errorf("reload ends with %d and %q, want 1 and replica a named", code, stderr)
	}
	for _, i := range []int{1, 2} {
		c.awaitServing(i)
	}
	if n := len(c.events(func(e event) bool { return e.Message == "exited" && e.Replica != "a" })); n > 0 {
		t.Errorf("%d exits of b and c, although a did not come back", n)
	}
}

func TestStartCutsTheDelayShort(t *testing.T) {
	t.Parallel()
	c := startControlled(t, write(t, healthy), "--restart-delay="+never)
	c.kill(0)
	c.mustCtl("start", "a")
	c.awaitEvent("ready", 0, 2)
	c.kill(1)
	c.mustCtl("set-policy", "--restart-delay=0s")
	c.awaitEvent("ready", 1, 2)
}

func TestScaleUpAndDown(t *testing.T) {
	t.Parallel()
	c := startControlled(t, write(t, healthy))
	c.mustCtl("scale", "1")
	list := c.mustCtl("list")
	if !strings.Contains(list, "a ") || strings.Contains(list, "\nb ") {
		t.Errorf("after scale 1 the list is\n%s", list)
	}
	c.mustCtl("scale", "3")
	for i := range c.addrs {
		c.awaitServing(i)
	}
}

// Reload changes nothing if the file has a mistake, and otherwise only what differs.
func TestReload(t *testing.T) {
	t.Parallel()
	file := write(t, healthy)
	c := startControlled(t, file)
	if err := os.WriteFile(file, []byte(healthy+"replicas: lots\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := c.ctl("reload")
	if code != 1 || !strings.Contains(stderr, filepath.Base(file)+":") || strings.Count(stderr, "\n") > 6 {
		t.Errorf("reload of a bad file ends with %d and %q, want 1 and the place", code, stderr)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(healthy, "replicas: 3", "replicas: 2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.signal(syscall.SIGHUP)
	c.awaitEvent("exited", 2, 1)
	if n := len(c.launched()); n != 3 {
		t.Errorf("%d launches, want only the first 3", n)
	}
}

// Each launch and exit is an event once, in the stream and in the file.
func TestEventsOfEveryLaunch(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.jsonl")
	c := startControlled(t, write(t, healthy), "--restart-delay=0s", "--events="+file)
	var first uint64
	stream, err := c.Watch(patiently(t), &supervisorv1.WatchRequest{After: &first})
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.addrs {
		c.awaitEvent("ready", i, 1) // a replica that is killed earlier never becomes ready
		c.kill(i)
		c.awaitEvent("ready", i, 2)
	}
	counts := make(map[supervisorv1.EventKind]int)
	var last uint64
	next := func() error {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if last++; r.GetEvent().GetSequence() != last {
			t.Fatalf("event %d comes after %d", r.GetEvent().GetSequence(), last-1)
		}
		counts[r.GetEvent().GetKind()]++
		return nil
	}
	for counts[supervisorv1.EventKind_EVENT_KIND_READY] < 6 {
		if err := next(); err != nil {
			t.Fatal(err)
		}
	}
	c.stop()
	for err == nil { // events that were sent before the end
		err = next()
	}
	if code := status.Code(err); !errors.Is(err, io.EOF) && code != codes.Unavailable {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(text), "\n")
	launched, exited := strings.Count(string(text), `"kind":"launched"`), strings.Count(string(text), `"kind":"exited"`)
	if launched != 6 || exited != 6 || lines < int(last) || counts[supervisorv1.EventKind_EVENT_KIND_LAUNCHED] != 6 {
		t.Errorf("%d events in the stream, %v; %d in the file, with %d launches and %d exits", last, counts, lines, launched, exited)
	}
}

// Two supervisors cannot use the same state directory.
func TestOneSupervisorPerStateDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startCluster(t, []string{"--state-dir=" + dir})
	code, _, stderr := run(t, "supervisor", "--state-dir="+dir, "--", "true")
	if code != 1 || !strings.Contains(stderr, fmt.Sprint(c.cmd.Process.Pid)) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("the second ends with %d and %q, want 1 and the pid of the first, %d", code, stderr, c.cmd.Process.Pid)
	}
}
