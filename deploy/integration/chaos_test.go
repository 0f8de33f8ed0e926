package integration

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	counterv1 "example.com/crashlab/gen/counter/v1"
)

// everything is a policy with all features for unary calls. Counter.Get is idempotent.
var everything = failover.Policy{
	Timeout: 300 * time.Millisecond, MinTimeout: 5 * time.Millisecond, Rounds: 4, Pause: 10 * time.Millisecond,
	Order: failover.OrderLeastInFlight, WhenDown: failover.WhenDownWait, MaxWaiting: 100, MaxInFlight: 20, AdaptiveLimit: true,
	Budget:   failover.Budget{Ratio: 0.5, PerSecond: 50},
	Ejection: failover.Ejection{After: 3, Probe: 100 * time.Millisecond},
	Hedge:    failover.Hedge{After: 50 * time.Millisecond, Quantile: 0.95, Share: 0.05},
}

// Replicas are killed, stopped and continued at random, with all features in use. The number of
// calls that succeed depends on the machine. But each call ends and is counted once, each replica
// is used again afterwards, and no goroutine is left.
func TestSoakChaos(t *testing.T) { // not parallel: connections of other tests have goroutines too
	long(t, "a second of chaos, beside no other test")
	h := newHunter(startCluster(t, []string{"--restart-delay=200ms"}, "--service-time=uniform:1ms:10ms"))
	awaitNoClient(t)
	seen := newTally()
	p := everything
	p.OnAttempt, p.OnCall = seen.attempt, seen.call
	cl := newClient(t, h.target(), p)
	cl.awaitReady(3)
	crew := startCrew(t, 32, 1, 3*time.Second, func(ctx context.Context, _ int) {
		_, _ = cl.counter.Get(ctx, new(counterv1.GetRequest)) // the result is recorded by the hooks
	})
	crew.pass() // all workers have begun
	stops := h.torment(rand.New(rand.NewPCG(1, 0)), scale(8, 1000), func() bool { return cl.conn.Statistics().Attempts[failover.OutcomeLost] > 0 })
	crew.stop()
	s := cl.conn.Statistics()
	t.Logf("%s; %.2f%% succeeded, the longest took %v; %d hedges, %d won, %d denied, %d ejections; %d kills, %d stops",
		figures(s), 100*float64(s.Succeeded)/float64(s.Calls), seen.longest.Round(time.Millisecond),
		s.Hedges, s.HedgesWon, s.Denied, s.Ejections, h.kills, stops)
	seen.check(t, s)
	if s.Attempts[failover.OutcomeLost] == 0 || stops == 0 {
		t.Error("want lost attempts and stopped replicas")
	}
	cl.awaitAnswers(len(h.addrs))
	cl.conn.Close()
	awaitNoClient(t)
}

// awaitAnswers makes calls, which may fail, until n replicas have answered.
func (c *client) awaitAnswers(replicas int) {
	c.t.Helper()
	answered := map[string]bool{}
	for begin := time.Now(); len(answered) < replicas; {
		reply, _, err := c.get()
		if err == nil {
			answered[reply.Replica] = true
		}
		if time.Since(begin) > patience {
			c.t.Fatalf("after %v only %v have answered; the last call: %v", patience, answered, err)
		}
	}
}

// torment kills, stops and continues replicas at random, and leaves none stopped. It ends after the
// given number of signals, or up to 100 more until it has stopped a replica and hit a call, which
// is left to chance. It returns how often it has stopped a replica.
func (h *hunter) torment(rnd *rand.Rand, shots int, hit func() bool) (stops int) {
	h.t.Helper()
	stopped := map[int]bool{}
	resume := func() {
		for i := range stopped {
			h.hit(i, syscall.SIGCONT)
		}
		clear(stopped)
	}
	defer resume()
	for shot := 0; shot < shots || shot < shots+100 && (stops == 0 || !hit()); shot++ {
		<-time.After(time.Duration(rnd.IntN(scale(200, 400))) * time.Millisecond)
		i := rnd.IntN(len(h.addrs))
		switch {
		case rnd.IntN(2) == 0:
			h.hit(i, syscall.SIGKILL)
			delete(stopped, i)
		case stopped[i]:
			h.hit(i, syscall.SIGCONT)
			delete(stopped, i)
		default:
			h.hit(i, syscall.SIGSTOP)
			stopped[i] = true
			stops++
		}
	}
	return stops
}

// tally counts what the hooks of a policy report, for comparison with the statistics.
type tally struct {
	mu      sync.Mutex // guards the fields below
	seen    failover.Statistics
	longest time.Duration // longest duration of a call
}

func newTally() *tally {
	n := &tally{seen: failover.Statistics{Failed: map[failover.Reason]int64{}, Attempts: map[failover.Outcome]int64{}}}
	for _, r := range failover.Reasons() {
		n.seen.Failed[r] = 0
	}
	for _, o := range failover.Outcomes() {
		n.seen.Attempts[o] = 0
	}
	return n
}

func (n *tally) attempt(_ context.Context, _ string, a failover.Attempt) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen.Attempts[a.Outcome]++
	if a.Hedge {
		n.seen.Hedges++
	}
}

func (n *tally) call(_ context.Context, c failover.Call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen.Calls++
	n.longest = max(n.longest, c.Duration)
	if failed, ok := errors.AsType[*failover.Error](c.Err); ok {
		n.seen.Failed[failed.Reason]++
	} else {
		n.seen.Succeeded++
	}
}

// check checks the statistics of a connection, all of whose calls have ended.
func (n *tally) check(t *testing.T, s failover.Statistics) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	ended := s.Succeeded
	for _, failed := range s.Failed {
		ended += failed
	}
	if s.Calls != ended || s.Waiting != 0 {
		t.Errorf("of %d calls %d have ended and %d wait, want all to have ended", s.Calls, ended, s.Waiting)
	}
	for _, r := range s.Replicas {
		if r.InFlight != 0 {
			t.Errorf("%d attempts are in flight at %s, want none", r.InFlight, r.Replica)
		}
	}
	w := n.seen
	if s.Calls != w.Calls || s.Succeeded != w.Succeeded || s.Hedges != w.Hedges ||
		!maps.Equal(s.Failed, w.Failed) || !maps.Equal(s.Attempts, w.Attempts) {
		t.Errorf("the statistics are\n%+v, the hooks have counted\n%+v", s, w)
	}
}

// awaitNoClient waits until no goroutine of a gRPC client is left in this process.
func awaitNoClient(t *testing.T) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond) // no event announces the end of a goroutine
	defer poll.Stop()
	timeout := time.After(patience)
	for stacks := clientStacks(); len(stacks) > 0; stacks = clientStacks() {
		select {
		case <-poll.C:
		case <-timeout:
			t.Fatalf("after %v there are still goroutines of clients:\n%s", patience, strings.Join(stacks, "\n\n"))
		}
	}
}

// clientStacks returns the stacks of all goroutines that run code of gRPC or failover, or were
// started by it.
func clientStacks() []string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 2); err != nil {
		panic(err) // writing to a bytes.Buffer never fails
	}
	var of []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, "google.golang.org/grpc") || strings.Contains(stack, "crashlab/client/failover") {
			of = append(of, stack)
		}
	}
	return of
}
