package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	counterv1 "example.com/crashlab/gen/counter/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// gated is a supervisor of three replicas of counterd, whose incarnations wait for open before they
// listen.
type gated struct {
	*controlled
	file  string              // the cluster file
	gates map[string]*os.File // pipes, by replica and incarnation
	names []string
}

// gatedText is the beginning of the cluster files. It takes the kind of probe, and the directory of
// the gates.
const gatedText = `
ready: %s
start_timeout: 1h
stop_timeout: 1h
command: [sh, -c, "read go <'%s/{name}.'$CRASHLAB_INCARNATION; exec bin/counterd --addr={addr} --replica={name} --log-json"]
`

// startGated runs the supervisor with a cluster file, and opens the gates of the first
// incarnations. It returns when all replicas are ready.
func startGated(t *testing.T, probe, text, control string, names []string) *gated {
	t.Helper()
	c := &gated{controlled: &controlled{cluster: &cluster{control: control}}, gates: make(map[string]*os.File), names: names}
	dir := t.TempDir()
	for _, name := range names {
		for incarnation := 1; incarnation <= 2; incarnation++ {
			gate := fmt.Sprintf("%s.%d", name, incarnation)
			if err := syscall.Mkfifo(filepath.Join(dir, gate), 0o600); err != nil {
				t.Fatal(err)
			}
			// Opening for reading and writing does not block.
			f, err := os.OpenFile(filepath.Join(dir, gate), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			c.gates[gate] = f
		}
	}
	text = fmt.Sprintf(gatedText, probe, dir) + text
	c.file = write(t, text)
	c.process = start(t, "supervisor", "--log-json", "--config="+c.file, "--control="+control)
	for _, name := range names {
		c.open(name, 1)
	}
	for _, name := range names {
		c.awaitNews("ready", name, 1)
	}
	conn, err := grpc.NewClient("passthrough:///"+control, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c.SupervisorClient = supervisorv1.NewSupervisorClient(conn)
	return c
}

// open lets an incarnation listen.
func (c *gated) open(name string, incarnation int) {
	c.t.Helper()
	if _, err := c.gates[fmt.Sprintf("%s.%d", name, incarnation)].WriteString("go\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *gated) awaitNews(message, name string, incarnation int) {
	c.t.Helper()
	c.await(&c.stderr, fmt.Sprintf("%q of replica %s, incarnation %d", message, name, incarnation), func(line string) bool {
		var e event
		return e.parse(line) && e.Message == message && e.Replica == name && e.Incarnation == incarnation
	})
}

// awaitBadAnswer waits until a readiness probe of the second incarnation of a replica, whose gate
// is closed, has failed.
func (c *gated) awaitBadAnswer(name string) {
	c.t.Helper()
	for ctx := patiently(c.t); ; time.Sleep(10 * time.Millisecond) {
		reply, err := c.Get(ctx, &supervisorv1.GetRequest{Replica: name})
		switch s := reply.GetStatus(); {
		case err != nil:
			c.t.Fatal(err)
		case s.GetIncarnation() != 2 || s.GetState() != supervisorv1.State_STATE_STARTING:
			c.t.Fatalf("before it listens %s is %v", name, s)
		case s.GetAnswer() != "":
			return
		}
	}
}

// serving returns the addresses of the ready replicas, by name, and checks that each of them
// answers there itself.
func (c *gated) serving() map[string]string {
	c.t.Helper()
	reply, err := c.List(patiently(c.t), new(supervisorv1.ListRequest))
	if err != nil {
		c.t.Fatal(err)
	}
	addrs := make(map[string]string)
	for _, s := range reply.GetReplicas() {
		if s.GetState() != supervisorv1.State_STATE_READY {
			continue
		}
		addrs[s.GetReplica()] = s.GetAddr()
		conn, err := grpc.NewClient("passthrough:///"+s.GetAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			c.t.Fatal(err)
		}
		got, err := counterv1.NewCounterClient(conn).Get(patiently(c.t), new(counterv1.GetRequest))
		conn.Close()
		if err != nil || got.GetReplica() != s.GetReplica() || got.GetIncarnation() != uint64(s.GetIncarnation()) {
			c.t.Errorf("%s, incarnation %d, is ready at %s, which answers %v, %v", s.GetReplica(), s.GetIncarnation(), s.GetAddr(), got, err)
		}
	}
	return addrs
}

// fewest returns the least number of replicas that were ready at the same time, after all were
// ready.
func (c *gated) fewest() int {
	ready, fewest := make(map[string]bool), len(c.names)
	all := false
	for _, e := range c.events(func(e event) bool { return e.Replica != "" }) {
		switch e.Message {
		case "ready":
			ready[e.Replica] = true
		case "stopping", "killed", "exited":
			delete(ready, e.Replica)
		}
		if all = all || len(ready) == len(c.names); all {
			fewest = min(fewest, len(ready))
		}
	}
	return fewest
}

// A reload that moves replicas to ports of others frees these first, one after another. Only a swap
// stops two replicas at a time. No replica is ready because of another's socket.
func TestReloadMovesPorts(t *testing.T) {
	t.Parallel()
	shifted := func(base int) string { return fmt.Sprintf("replicas: 3\nbase_port: %d\n", base) }
	grouped := func(ports ...int) string {
		return fmt.Sprintf("replicas: 1\ngroups:\n  x: {base_port: %d}\n  y: {base_port: %d}\n  z: {base_port: %d}\n", ports[0], ports[1], ports[2])
	}
	for name, tc := range map[string]struct {
		names     []string
		from, to  func(base int) string
		moved     int    // number of replicas that are restarted
		ports     [3]int // final ports, relative to the base
		leastLeft int
	}{
		"shift": {
			names: []string{"a", "b", "c"}, moved: 3, ports: [3]int{1, 2, 3}, leastLeft: 2,
			from: shifted, to: func(base int) string { return shifted(base + 1) },
		},
		"swap": {
			names: []string{"x-a", "y-a", "z-a"}, moved: 2, ports: [3]int{1, 0, 2}, leastLeft: 1,
			from: func(base int) string { return grouped(base, base+1, base+2) },
			to:   func(base int) string { return grouped(base+1, base, base+2) },
		},
	} {
		for _, probe := range []string{"tcp", "grpc"} {
			t.Run(name+", "+probe, func(t *testing.T) {
				t.Parallel()
				base := freePorts(t, 5)
				c := startGated(t, probe, tc.from(base), addr(base+4), tc.names)
				c.reload(tc.from(base), tc.to(base), tc.moved, tc.leastLeft)
				served := c.serving()
				for i, name := range c.names {
					if want := addr(base + tc.ports[i]); served[name] != want {
						t.Errorf("%s serves at %q, want %q", name, served[name], want)
					}
				}
				if n := c.fewest(); n < tc.leastLeft {
					t.Errorf("%d replicas were ready at a time, want %d", n, tc.leastLeft)
				}
				c.signal(os.Interrupt)
				if code := c.exitCode(); code != 0 {
					t.Errorf("exit code %d, want 0", code)
				}
			})
		}
	}
}

// reload replaces a part of the cluster file, and reloads it. It opens the gate of each replica
// that is restarted after the supervisor has found that it does not listen.
func (c *gated) reload(from, to string, moved, leastLeft int) {
	c.t.Helper()
	text, err := os.ReadFile(c.file)
	if err == nil {
		err = os.WriteFile(c.file, []byte(strings.Replace(string(text), from, to, 1)), 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	ctl := start(c.t, "supervisor", "ctl", "--control="+c.control, "reload", "--wait=1h")
	done := make(map[string]bool)
	for range moved {
		var e event
		c.await(&c.stderr, "another launch", func(line string) bool {
			return e.parse(line) && e.Message == "launched" && e.Incarnation == 2 && !done[e.Replica]
		})
		done[e.Replica] = true
		c.awaitBadAnswer(e.Replica)
		if left := c.serving(); len(left) < leastLeft {
			c.t.Errorf("while %s starts, only %v serve, want %d", e.Replica, left, leastLeft)
		}
		c.open(e.Replica, 2)
		c.awaitNews("ready", e.Replica, 2)
	}
	if code := ctl.exitCode(); code != 0 {
		c.t.Errorf("reload ends with %d: %s", code, &ctl.stderr)
	}
}
