package session

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/labtest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// patience is a time limit that only a hang can reach.
const patience = 2 * time.Minute

// counterd is the path of the replicas' program.
var counterd string

func TestMain(m *testing.M) {
	labtest.Main(m, func(path string) { counterd = path })
}

// testCluster is a cluster of real replicas, with its control service.
type testCluster struct {
	t           testing.TB
	supervisor  *supervisor.Supervisor
	control     string // address
	stopControl func() // ends the control service
}

// startCluster starts the given number of replicas a, b, ..., which can be scaled up to most.
func startCluster(t testing.TB, replicas, most int) *testCluster {
	t.Helper()
	return startReplicas(t, replicas, most, spec.Probe{Kind: spec.ProbeTCP, Period: spec.MinPeriod})
}

// startReplicas is startCluster with a readiness probe and flags of counterd.
func startReplicas(t testing.TB, replicas, most int, ready spec.Probe, flags ...string) *testCluster {
	t.Helper()
	addrs := claim(t, most+1)
	added, there := 0, make(chan struct{})
	s, err := supervisor.New(supervisor.Config{
		Groups: []spec.Group{{
			Count: replicas, Max: most, Policy: restart.Policy{Delay: 20 * time.Millisecond, Exact: true},
			Replica: func(i int) spec.Replica {
				name, addr := string(rune('a'+i)), addrs[i]
				return spec.Replica{
					Name: name, Addr: addr, Args: append([]string{counterd, "--addr=" + addr, "--replica=" + name, "--service-time=1ms"}, flags...),
					StopTimeout: patience, Ready: ready,
				}
			},
		}},
		Stay: true,
		OnEvent: func(e event.Event) {
			if e.Kind != event.KindAdded || added == replicas {
				return
			}
			if added++; added == replicas {
				close(there)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	c := &testCluster{t: t, supervisor: s}
	c.serve(addrs[most])
	t.Cleanup(func() {
		cancel()
		s.Kill() // does not wait for replicas that hang
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.stopControl()
	})
	<-there
	return c
}

// serve serves the control service at an address.
func (c *testCluster) serve(addr string) {
	c.t.Helper()
	l, err := control.Listen(addr, false)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&control.Server{Supervisor: c.supervisor}).Serve(ctx, l) }()
	c.control = l.Addr().String()
	c.stopControl = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			c.t.Error(err)
		}
	})
}

func (c *testCluster) status(name string) status.Status {
	c.t.Helper()
	s, err := c.supervisor.Get(name)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// faults returns the faults that a replica has.
func (c *testCluster) faults(name string) *faultv1.Faults {
	c.t.Helper()
	return c.setFaults(name, new(faultv1.SetRequest))
}

// setFaults sets faults of a replica once it serves, and returns all that it has.
func (c *testCluster) setFaults(name string, set *faultv1.SetRequest) *faultv1.Faults {
	c.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+c.status(name).Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	reply, err := faultv1.NewFaultClient(conn).Set(ctx, set, grpc.WaitForReady(true))
	if err != nil {
		c.t.Fatal(err)
	}
	return reply.GetFaults()
}

// testSession is a running session.
type testSession struct {
	*Session
	t testing.TB

	mu   sync.Mutex
	last live.State
	news chan struct{} // closed and replaced at each state
}

// play runs a session until the test ends.
func play(t testing.TB, c Config) *testSession {
	t.Helper()
	s := &testSession{t: t, news: make(chan struct{})}
	c.OnState = s.note
	s.Session = New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s
}

// attach runs a session of the cluster and returns after the first answer to load A.
func (c *testCluster) attach(runs string) *testSession {
	c.t.Helper()
	s := play(c.t, Config{Cluster: &cluster.Target{Control: []string{c.control}}, Runs: runs, Command: []string{"the", "test"}})
	s.await("an answer", func(now live.State) bool { return now.Loads[0].Total.OK > 0 })
	return s
}

func (s *testSession) note(now live.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	close(s.news)
	s.news = make(chan struct{})
}

// await waits for a state that satisfies the condition, which what describes, and returns it.
func (s *testSession) await(what string, condition func(live.State) bool) live.State {
	s.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		s.mu.Lock()
		now, news := s.last, s.news
		s.mu.Unlock()
		if now.Frame > 0 && condition(now) {
			return now
		}
		select {
		case <-news:
		case <-limit.C:
			s.t.Fatalf("no %s within %v: %+v", what, patience, now.Replicas)
		}
	}
}

// do executes a command and returns the first state that has its mark.
func (s *testSession) do(c live.Command) live.State {
	s.t.Helper()
	done, err := s.Do(s.t.Context(), c)
	if err != nil {
		s.t.Fatalf("%+v: %v", c, err)
	}
	return s.await("mark "+done.Text, func(now live.State) bool {
		return slices.ContainsFunc(now.Marks.Items, func(m live.Mark) bool { return m.Text == done.Text && m.Error == "" })
	})
}

// replica returns a replica of a state, or the zero Replica if there is none of that name.
func replica(s live.State, name string) live.Replica {
	for _, r := range s.Replicas {
		if r.Name == name {
			return r
		}
	}
	return live.Replica{}
}

// claim reserves addresses for the test's replicas.
func claim(t testing.TB, n int) []string {
	t.Helper()
	lock, addrs, err := lab.Claim(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	return addrs
}

// isStopped reports whether a process is stopped. Where there is no /proc, it returns true.
func isStopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") T ")
}
