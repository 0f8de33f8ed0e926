package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	counterv1 "example.com/crashlab/gen/counter/v1"
	faultv1 "example.com/crashlab/gen/fault/v1"
)

// lenient is a policy with which a call fails only if no replica answers for a long time.
var lenient = failover.Policy{Timeout: patience, Rounds: int(patience / pause), Pause: pause}

const pause = 20 * time.Millisecond

// shortTimeout is a policy with which a call soon leaves a replica that hangs. The next call tries
// that one again, and a call whose other attempts fail returns to it.
var shortTimeout = failover.Policy{Timeout: 250 * time.Millisecond, Rounds: 1000, Ejection: failover.Ejection{Off: true}}

func TestOneKilledOfThree(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=500ms"}, "--service-time=20ms")
	p := lenient
	p.Order = failover.OrderRoundRobin
	cl := newClient(t, c.target(), p)
	cl.awaitReady(3)

	stop := cl.steadily(5)
	replies := cl.mustGetUntil(func(r *counterv1.GetResponse) bool { return r.Value >= 5 }) // all callers have begun
	c.kill(1)
	replies = append(replies, cl.mustGetUntil(func(r *counterv1.GetResponse) bool {
		return r.Replica == "b" && r.Incarnation == 2
	})...)
	replies = append(replies, stop()...)

	if pid := c.awaitEvent("launched", 1, 1).PID; pid == c.awaitEvent("launched", 1, 2).PID {
		t.Errorf("process %d was killed, and is also the second incarnation", pid)
	}
	if n := len(c.launched()); n != 4 {
		t.Errorf("%d launches, want 4: the other replicas keep running", n)
	}
	for key, values := range valuesByIncarnation(replies) {
		if key == (incarnation{"b", 1}) {
			continue // some of its replies are lost
		}
		for i, v := range values {
			if v != uint64(i+1) {
				t.Errorf("incarnation %d of %s replied the values %v, want every one from 1", key.number, key.replica, values)
				break
			}
		}
	}
}

func TestAllKilledAndBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=300ms"})
	cl := newClient(t, c.target(), lenient)
	cl.mustGet()
	c.kill(0, 1, 2)
	if reply, attempts := cl.mustGet(); reply.Incarnation != 2 || reply.Value != 1 {
		t.Errorf("reply %v after %d attempts, want value 1 of incarnation 2", reply, len(attempts))
	}
}

func TestAllKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=" + never})
	cl := newClient(t, c.target(), failover.Policy{Timeout: patience, Rounds: 1})
	cl.awaitReady(3)
	c.kill(0, 1, 2)
	cl.awaitReady(0)
	_, _, err := cl.get()
	checkAllRefused(t, err, c.addrs)
	if code := status.Code(err); code != codes.Unavailable {
		t.Errorf("code %v, want Unavailable", code)
	}
	for _, addr := range c.addrs {
		if !strings.Contains(err.Error(), addr+" refused (unsent") {
			t.Errorf("the error does not say that %s refused: %v", addr, err)
		}
	}
}

func TestCrashDuringCall(t *testing.T) {
	t.Parallel()
	for _, point := range []faultv1.CrashPoint{faultv1.CrashPoint_CRASH_POINT_ARRIVAL, faultv1.CrashPoint_CRASH_POINT_REPLY} {
		name := strings.ToLower(strings.TrimPrefix(point.String(), "CRASH_POINT_"))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, []string{"--restart-delay=" + never})
			cl := newClient(t, c.target(), failover.Policy{Timeout: patience})
			cl.awaitReady(3)
			const work = 100 * time.Millisecond
			c.setFaults(0, &faultv1.SetRequest{CrashProbability: new(1.0), CrashPoint: point, ServiceTime: new(work.String())})

			reply, attempts := cl.mustGet()
			if reply.Replica != "b" || reply.Value != 1 {
				t.Errorf("reply %v, want value 1 of b", reply)
			}
			checkOutcomes(t, attempts, failover.OutcomeLost, failover.OutcomeOK)
			if a := attempts[0]; a.Replica != c.addrs[0] || !a.Sent {
				t.Errorf("first attempt is %v, want one sent to %s", a, c.addrs[0])
			} else if point == faultv1.CrashPoint_CRASH_POINT_REPLY && a.Duration < work {
				t.Errorf("first attempt is %v, want one that was lost after %v of work", a, work)
			}
			if e := c.awaitEvent("exited", 0, 1); e.exit() != "code 1" || e.PID != c.awaitEvent("launched", 0, 1).PID {
				t.Errorf("the crash is logged as %+v, %s", e, e.exit())
			}
			if crash := c.crash(0); crash.Request != 1 || crash.Point != name {
				t.Errorf("the replica logs %+v, want the crash of request 1 at %s", crash, name)
			}
		})
	}
}

func TestHungReplica(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	cl := newClient(t, c.target(), shortTimeout)
	cl.awaitReady(3)
	c.setFaults(0, &faultv1.SetRequest{Hang: new(true)})
	checkTimeout(t, cl, c.addrs[0])
	c.setFaults(0, &faultv1.SetRequest{Hang: new(false)})
	checkSameIncarnation(t, c)
}

func TestStoppedReplica(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	cl := newClient(t, c.target(), shortTimeout)
	cl.awaitReady(3)
	pid := c.awaitEvent("launched", 0, 1).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The replica may not have stopped yet, and may answer a few calls.
	cl.mustGetUntil(func(r *counterv1.GetResponse) bool { return r.Replica != "a" })
	checkTimeout(t, cl, c.addrs[0])
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	checkSameIncarnation(t, c)
}

// checkTimeout makes a call whose first attempt must time out at the address, which is that of
// replica a, and which must succeed elsewhere.
func checkTimeout(t *testing.T, cl *client, addr string) {
	t.Helper()
	for sent := false; !sent; { // on a slow machine, the time may pass before the request is sent
		reply, attempts := cl.mustGet()
		first := attempts[0]
		if first.Replica != addr || first.Outcome != failover.OutcomeTimeout || reply.Replica == "a" {
			t.Fatalf("reply %v after %v; want a timeout at %s first, and a reply of another replica", reply, attempts, addr)
		}
		sent = first.Sent
	}
}

// checkSameIncarnation checks that replica a answers and has not been relaunched.
func checkSameIncarnation(t *testing.T, c *cluster) {
	t.Helper()
	if reply, _ := newClient(t, c.target(0), lenient).mustGet(); reply.Incarnation != 1 {
		t.Errorf("reply %v, want one of incarnation 1", reply)
	}
}

// Without relaunches and with one caller, each replica serves exactly the requests that arrive
// before its crash.
func TestArithmeticOfTheOriginalLab(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart=never"}, "--p-crash=0.3", "--seed=2")
	cl := newClient(t, c.target(), failover.Policy{Timeout: patience, Rounds: 1})
	cl.awaitReady(3)
	const most = 1000 // successes; the probability that one replica survives 100 requests is 1e-15
	succeeded, lost := 0, 0
	var err error
	for err == nil && succeeded < most {
		var attempts []failover.Attempt
		if _, attempts, err = cl.get(); err == nil {
			succeeded++
		}
		for _, a := range attempts {
			if a.Outcome == failover.OutcomeLost {
				lost++
			}
		}
	}
	want := 0
	for i := range c.addrs {
		want += c.crash(i).Request - 1
		if e := c.awaitEvent("exited", i, 1); e.exit() != "code 1" {
			t.Errorf("replica %s ended with %s, want code 1", letter(i), e.exit())
		}
	}
	if succeeded != want || lost != 3 {
		t.Errorf("%d calls succeeded and %d attempts were lost, want %d and 3", succeeded, lost, want)
	}
	t.Logf("%d calls succeeded", succeeded)
	cl.awaitReady(0)
	for range 10 {
		_, _, err := cl.get()
		checkAllRefused(t, err, c.addrs)
	}
}

// The replica must get a call, and no call may fail meanwhile. BenchmarkBackInUse measures how long
// that takes.
func TestBackInUse(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=500ms"}, "--service-time=1ms")
	cl := newClient(t, c.target(1, 0, 2), lenient) // b is called whenever it is ready
	cl.awaitReady(3)
	stop := cl.steadily(1)
	c.kill(1)
	cl.mustGetUntil(func(r *counterv1.GetResponse) bool { return r.Incarnation == 2 })
	stop()
}

// record is a line of a replica's log.
type record struct {
	Message     string    `json:"@message"`
	Time        time.Time `json:"@timestamp"`
	Replica     string
	Incarnation int
	Request     int
	Point       string
}

// awaitRecord waits for a line of the i-th replica's log.
func (c *cluster) awaitRecord(i int, what string, found func(record) bool) record {
	c.t.Helper()
	var r record
	c.await(&c.stdout, what+" of replica "+letter(i), func(line string) bool {
		r = record{}
		return json.Unmarshal([]byte(line), &r) == nil && r.Replica == letter(i) && found(r)
	})
	return r
}

// crash is the first simulated crash of the i-th replica.
func (c *cluster) crash(i int) record {
	c.t.Helper()
	return c.awaitRecord(i, "crash", func(r record) bool { return r.Message == "simulated crash" })
}

// listening is when the incarnation of the i-th replica listened.
func (c *cluster) listening(i, incarnation int) time.Time {
	c.t.Helper()
	return c.awaitRecord(i, "listening", func(r record) bool {
		return r.Message == "listening" && r.Incarnation == incarnation
	}).Time
}

func checkOutcomes(t *testing.T, attempts []failover.Attempt, want ...failover.Outcome) {
	t.Helper()
	var got []failover.Outcome
	for _, a := range attempts {
		got = append(got, a.Outcome)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("attempts %v, want %v", attempts, want)
	}
}
