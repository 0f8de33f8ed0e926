package virtual_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
)

const ms = time.Millisecond

// cluster simulates replicas that crash at random and come back after a delay, and callers that
// call again and again.
type cluster struct {
	virtual.Timeline
	client   *virtual.Client
	rnd      *rand.Rand
	crash    float64 // the probability that a request crashes its replica, before any work
	restart  time.Duration
	service  time.Duration // on average
	deadline time.Duration
	downTill []time.Duration
	ok, all  int
}

func newCluster(tb testing.TB, p failover.Policy, replicas, callers int, seed uint64) *cluster {
	tb.Helper()
	p.Idempotent = map[string]bool{"/": true}
	policy, err := p.Virtual("/service/Method")
	if err != nil {
		tb.Fatal(err)
	}
	c := &cluster{
		rnd: rand.New(rand.NewPCG(seed, 0)), crash: 0.1, restart: time.Second, service: 100 * ms, deadline: 10 * time.Second,
		downTill: make([]time.Duration, replicas),
	}
	c.client = virtual.New(&c.Timeline, policy, c, replicas, seed)
	for range callers {
		caller := &caller{cluster: c}
		caller.done = caller.ended
		caller.again.Do = caller.call
		c.Set(&caller.again, ms+time.Duration(c.rnd.Int64N(int64(c.service))))
	}
	return c
}

// caller makes one call after another.
type caller struct {
	*cluster
	again virtual.Timer
	done  func(virtual.Call)
}

func (x *caller) call() { x.client.Call(x.Now()+x.deadline, x.done) }

func (x *caller) ended(c virtual.Call) {
	x.all++
	if c.OK {
		x.ok++
	}
	x.Set(&x.again, x.Now()+1)
}

func (c *cluster) Dial(replica int, knock bool) (time.Duration, bool) {
	return time.Microsecond, c.Now() >= c.downTill[replica]
}

func (c *cluster) Send(a virtual.Attempt) virtual.Reply {
	if c.rnd.Float64() < c.crash {
		c.downTill[a.Replica] = c.Now() + c.restart
		return virtual.Reply{After: time.Microsecond, Outcome: virtual.OutcomeLost}
	}
	return virtual.Reply{After: time.Duration(c.rnd.ExpFloat64() * float64(c.service))}
}

func (c *cluster) Probe(replica int) (time.Duration, virtual.Finding) {
	return time.Microsecond, virtual.FindingServing
}

// The same seed gives the same attempts.
func TestSameSeedSameDecisions(t *testing.T) {
	play := func(seed uint64) (attempts []virtual.Attempt) {
		c := newCluster(t, failover.Recommended(), 3, 5, seed)
		c.client.OnAttempt = func(a virtual.Attempt) { attempts = append(attempts, a) }
		c.RunUntil(time.Minute)
		return attempts
	}
	first, again, other := play(1), play(1), play(2)
	if !slices.Equal(first, again) {
		t.Error("the same seed led to other attempts")
	}
	if slices.Equal(first, other) || len(first) < 100 {
		t.Errorf("another seed led to the same %d attempts", len(first))
	}
}

// The results of a real cluster: calls that wait for a replica, with one attempt in flight at each,
// nearly always succeed, and calls that do not wait nearly always fail.
func TestPoliciesDifferAsMeasured(t *testing.T) {
	success := func(p failover.Policy) float64 {
		c := newCluster(t, p, 3, 10, 1)
		c.crash, c.service, c.deadline = 0.3, 275*ms, 30*time.Second
		c.RunUntil(5 * time.Minute)
		return float64(c.ok) / float64(c.all)
	}
	if got := success(failover.Policy{Rounds: 1000, WhenDown: failover.WhenDownWait, MaxInFlight: 1}); got < 0.999 {
		t.Errorf("%.4f of the calls that wait succeed, want at least 0.999", got)
	}
	if got := success(failover.Policy{Rounds: 3, Pause: 200 * ms, Ejection: failover.Ejection{Off: true}}); got > 0.2 {
		t.Errorf("%.4f of the calls that do not wait succeed, want at most 0.2", got)
	}
}

// A virtual client follows the policy of the method. An invalid policy is an error.
func TestPolicyOfAMethod(t *testing.T) {
	rounds, idempotent := 5, true
	p := failover.Policy{Rounds: 2, Methods: map[string]failover.MethodPolicy{"/service/Method": {Rounds: &rounds, Idempotent: &idempotent}}}
	for method, want := range map[string]int{"/service/Method": 5, "/service/Other": 2} {
		v, err := p.Virtual(method)
		if err != nil || v.Rules.Rounds != want || v.Rules.Idempotent != (want == 5) || v.MaxWaiting != 1000 {
			t.Errorf("%s: got %+v, %v, want %d rounds and the defaults", method, v, err, want)
		}
	}
	p.Timeout = -1
	if _, err := p.Virtual("/service/Method"); err == nil || !strings.Contains(err.Error(), "Policy.Timeout -1ns: want 0 or more") {
		t.Errorf("got %v, want the timeout refused", err)
	}
}

// BenchmarkEvents measures the time of an event, in clusters of several sizes under the recommended
// policy, and the memory per replica or caller. Other processes affect events/s, but not
// events/cpu-s.
func BenchmarkEvents(b *testing.B) {
	for _, size := range []struct{ replicas, callers int }{{3, 3}, {3, 10}, {3, 1000}, {100, 1000}, {1000, 10000}, {10000, 100000}, {10000, 100}, {3, 1000000}, {10000, 1000000}} {
		b.Run(fmt.Sprintf("replicas=%d/callers=%d", size.replicas, size.callers), func(b *testing.B) {
			before := heap()
			c := newCluster(b, failover.Recommended(), size.replicas, size.callers, 1)
			for range 2 * (size.replicas + size.callers) {
				c.Step()
			}
			bytes := float64(heap()-before) / float64(size.replicas+size.callers)
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				c.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/(cpu(b)-began).Seconds(), "events/cpu-s")
			b.ReportMetric(bytes, "B/member")
			runtime.KeepAlive(c)
		})
	}
}

// cpu returns the CPU time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
