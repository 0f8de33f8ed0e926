package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

const (
	// startTimeout is generous: a replica is ready 10 to 20 ms after its launch on an idle machine.
	startTimeout = 30 * time.Second
	// startTries is how often a cluster is started if other processes take its ports first.
	startTries = 5
)

// stopTimeout bounds the shutdown of replicas that hang; the others are idle by then and end at
// once. It exceeds counterd's drain timeout, so that each replica can report its counts. Tests
// raise it so as not to depend on the machine's speed.
var stopTimeout = 6 * time.Second

// cluster is the supervised replicas of one trial and their history.
type cluster struct {
	supervisor *supervisor.Supervisor
	addrs      []string // of the replicas a, b, ...
	lock       net.Listener
	stop       context.CancelFunc
	ended      chan struct{} // closed when no process is left

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every event
	events  []trials.Event
	ready   map[string]bool
	started bool  // all replicas have been ready at once
	failure error // why the replicas cannot be used
}

// insecureOptions are the dial options of connections to the replicas.
var insecureOptions = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}

// startCluster launches the replicas and returns when all are ready.
func startCluster(ctx context.Context, counterd string, guardian []string, s design.Settings, seed uint64) (*cluster, error) {
	var err error
	for range startTries {
		var c *cluster
		if c, err = launch(ctx, counterd, guardian, s, seed); err != nil {
			return nil, err
		}
		if err = c.awaitReady(ctx); err == nil {
			return c, nil
		}
		c.end()
		if !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
	}
	return nil, err
}

func launch(ctx context.Context, counterd string, guardian []string, s design.Settings, seed uint64) (*cluster, error) {
	lock, addrs, err := Claim(s.Replicas)
	if err != nil {
		return nil, err
	}
	c := &cluster{
		addrs: addrs, lock: lock, ended: make(chan struct{}),
		changed: make(chan struct{}), ready: map[string]bool{},
	}
	c.supervisor, err = supervisor.New(supervisor.Config{
		Groups: []spec.Group{{
			Name: "counter", Count: s.Replicas, Policy: restartPolicy(s.RestartDelay),
			Replica: func(i int) spec.Replica {
				return spec.Replica{
					Name: design.ReplicaName(i), Addr: addrs[i], Args: arguments(counterd, design.ReplicaName(i), addrs[i], s, seed),
					StopTimeout: stopTimeout, StartTimeout: startTimeout,
					Ready: spec.Probe{Kind: spec.ProbeTCP, Period: spec.MinPeriod}, // the records time launches
				}
			},
		}},
		Stay: true, OnEvent: c.onEvent, OnOutput: c.onOutput, Guardian: guardian,
	})
	if err != nil {
		lock.Close()
		return nil, err
	}
	// The replicas outlive ctx: when a run is interrupted, its calls end first, so that stopping
	// the replicas loses none.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go func() {
		defer close(c.ended)
		if err := c.supervisor.Run(running); err != nil {
			c.fail(err)
		}
	}()
	return c, nil
}

func restartPolicy(delay time.Duration) restart.Policy {
	if delay == design.Never {
		return restart.Policy{Mode: restart.ModeNever}
	}
	return restart.Policy{Delay: delay, Exact: true}
}

// arguments returns the command line of a replica.
func arguments(counterd, replica, addr string, s design.Settings, seed uint64) []string {
	args := []string{
		counterd, "--addr=" + addr, "--replica=" + replica, "--log-json", fmt.Sprintf("--seed=%d", seed),
		fmt.Sprintf("--p-crash=%v", s.PCrash), fmt.Sprintf("--crash-point=%v", s.CrashPoint),
		fmt.Sprintf("--service-time=%v", s.ServiceTime),
	}
	if s.Capacity > 0 {
		args = append(args, fmt.Sprintf("--capacity=%d", s.Capacity))
	}
	return args
}

// onEvent records an event of the supervisor.
func (c *cluster) onEvent(e event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, trials.Event{Time: e.Time, Event: record.Event{Process: &e}})
	switch e.Kind {
	case event.KindReady:
		c.ready[e.Replica] = true
	case event.KindExited, event.KindLaunchFailed:
		c.ready[e.Replica] = false
		if !c.started && c.failure == nil { // even if it was ready: it may never be relaunched
			c.failure = trials.EndedEarly(e)
		}
	}
	c.wake()
}

// wake wakes awaitReady. c.mu is held.
func (c *cluster) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	c.wake()
}

// onOutput reads lines of a replica's log.
func (c *cluster) onOutput(replica string, lines []byte) {
	for line := range bytes.Lines(lines) {
		c.readLine(replica, line)
	}
}

func (c *cluster) readLine(replica string, line []byte) {
	count := trials.ReadCount(replica, line)
	if count == nil {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, trials.Event{Time: now, Event: record.Event{Count: count}})
}

// awaitReady returns nil once all replicas are ready. It returns an error if one has ended or ctx
// ends.
func (c *cluster) awaitReady(ctx context.Context) error {
	for {
		c.mu.Lock()
		changed, failure := c.changed, c.failure
		c.started = failure == nil && c.countReady() == len(c.addrs)
		started := c.started
		c.mu.Unlock()
		switch {
		case failure != nil:
			return failure
		case started:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cluster) countReady() int {
	n := 0
	for _, ready := range c.ready {
		if ready {
			n++
		}
	}
	return n
}

// up reports for each replica whether it is ready.
func (c *cluster) up() []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := make([]bool, len(c.addrs))
	for i := range up {
		up[i] = c.ready[design.ReplicaName(i)]
	}
	return up
}

// end stops the replicas, waits until no process is left, and releases the ports.
func (c *cluster) end() {
	c.stop()
	<-c.ended
	c.lock.Close()
}

// history returns the events so far. It is complete after end.
func (c *cluster) history() []trials.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}
