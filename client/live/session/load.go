package session

import (
	"context"
	"maps"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/workload"
)

// load makes the calls of one policy. It can be changed while it runs.
type load struct {
	session *Session
	id      string

	changing sync.Mutex // held while the load is changed
	mu       sync.Mutex // guards the fields below, which change only with both mutexes held
	on       bool
	settings live.Settings
	target   string  // empty if not known yet
	current  *client // of new calls; nil if there is no target
	retired  map[*client]bool
	before   failover.Statistics // sums of the retired clients
	stopPlan context.CancelFunc  // ends the running plan; nil if none runs

	plans    sync.WaitGroup
	calls    atomic.Int64 // number of the latest call
	underWay atomic.Int64
	late     atomic.Int64 // when a call last started late, in nanoseconds since 1970
}

// client is a connection with its policy. A client that was replaced is closed after the last of
// its calls.
type client struct {
	conn    *failover.Client
	call    func(context.Context, int) (workload.Reply, error)
	users   int // calls under way; guarded by load.mu
	retired atomic.Bool
}

// callKey is the context key of a call's number.
type callKey struct{}

// begin reports the initial settings of the load.
func (l *load) begin(on bool) {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.mu.Lock()
	l.on = on
	l.mu.Unlock()
	l.report(live.LoadChanged{Began: on})
}

// set changes the load. If it returns an error, nothing has changed.
func (l *load) set(on *bool, preset string, values map[string]string) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	next, err := l.settings.With(preset, values)
	if err != nil {
		return live.Refuse(http.StatusBadRequest, "%w", err)
	}
	changed := live.LoadChanged{Swapped: l.current == nil || !samePolicy(l.settings, next)}
	c := l.current
	if changed.Swapped {
		if c, err = l.connect(l.target, next); err != nil {
			return live.Refuse(http.StatusBadRequest, "%s", strings.TrimPrefix(err.Error(), "failover: "))
		}
	}
	again := l.settings.Concurrency != next.Concurrency || l.settings.Rate != next.Rate || l.settings.Arrivals != next.Arrivals
	l.mu.Lock()
	l.settings = next
	if on != nil && *on != l.on {
		l.on, again = *on, true
		changed.Began = l.on
	}
	l.mu.Unlock()
	l.use(c)
	l.report(changed)
	if again {
		l.restart()
	}
	return nil
}

// retarget makes new calls go to another target.
func (l *load) retarget(target string) {
	l.changing.Lock()
	defer l.changing.Unlock()
	c, err := l.connect(target, l.settings)
	if err != nil {
		l.session.apply(live.Marked{Kind: live.MarkCluster, Text: "replicas " + target, Load: l.id, Error: err.Error()})
		return
	}
	first := l.current == nil
	l.target = target
	l.use(c)
	l.report(live.LoadChanged{Swapped: true})
	if first {
		l.restart()
	}
}

// samePolicy reports whether two settings differ at most in their load, so that they can share a
// client. The client has the deadline of its calls.
func samePolicy(a, b live.Settings) bool {
	a.Concurrency, a.Rate, a.Arrivals = b.Concurrency, b.Rate, b.Arrivals
	return maps.Equal(a.Values(), b.Values())
}

// report reports the settings of the load.
func (l *load) report(e live.LoadChanged) {
	e.Load, e.On, e.Settings, e.Preset = l.id, l.on, l.settings.Values(), l.settings.Preset()
	l.session.apply(e)
}

// connect returns a client with the given settings. If there is no target yet, it only checks the
// settings and returns nil.
func (l *load) connect(target string, s live.Settings) (*client, error) {
	c := new(client)
	policy := s.Policy
	policy.OnAttempt = func(ctx context.Context, _ string, a failover.Attempt) {
		if number, ok := ctx.Value(callKey{}).(int); ok {
			l.session.apply(live.AttemptEnded{Load: l.id, Call: number, Attempt: a})
		}
	}
	policy.OnReplica = func(e failover.ReplicaEvent) {
		if !c.retired.Load() {
			l.session.apply(live.LinkChanged{Load: l.id, Event: e})
		}
	}
	conn, err := failover.NewClient(targetOrDummy(target), policy, append(l.session.dialOptions(), grpc.WithContextDialer(cluster.DialAfter(l.session.giveFaults)))...)
	if err != nil {
		return nil, err
	}
	if target == "" {
		return nil, conn.Close()
	}
	conn.Connect()
	c.conn, c.call = conn, trials.Caller(conn, s.Deadline)
	return c, nil
}

// targetOrDummy returns the target, or a valid one if it is empty.
func targetOrDummy(target string) string {
	if target == "" {
		return "static:///127.0.0.1:1"
	}
	return target
}

func transport(c credentials.TransportCredentials) grpc.DialOption {
	if c == nil {
		c = insecure.NewCredentials()
	}
	return grpc.WithTransportCredentials(c)
}

// use makes new calls use the client.
func (l *load) use(c *client) {
	l.mu.Lock()
	old := l.current
	if old == c {
		l.mu.Unlock()
		return
	}
	l.current = c
	var idle *client
	if old != nil {
		old.retired.Store(true)
		s := old.conn.Statistics()
		l.before.Ejections, l.before.Denied = l.before.Ejections+s.Ejections, l.before.Denied+s.Denied
		if l.retired[old] = true; old.users == 0 {
			idle = old
			delete(l.retired, old)
		}
	}
	l.mu.Unlock()
	idle.close()
}

func (c *client) close() {
	if c != nil {
		c.conn.Close()
	}
}

// acquire returns the client for a new call.
func (l *load) acquire() *client {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current.users++
	return l.current
}

// release ends a call's use of its client.
func (l *load) release(c *client) {
	l.mu.Lock()
	c.users--
	last := c.users == 0 && l.retired[c]
	if last {
		delete(l.retired, c)
	}
	l.mu.Unlock()
	if last {
		c.close()
	}
}

// restart ends the running plan and, if the load is on, begins one with the present settings. Calls
// under way continue.
func (l *load) restart() {
	if l.stopPlan != nil {
		l.stopPlan()
		l.stopPlan = nil
	}
	if !l.on || l.current == nil {
		return
	}
	var ctx context.Context
	ctx, l.stopPlan = context.WithCancel(l.session.calling)
	plan := workload.Plan{
		Calls: math.MaxInt, Workers: l.settings.Concurrency, Rate: l.settings.Rate, Arrivals: l.settings.Arrivals, Seed: 1,
	}
	var numbers sync.Map // call numbers of the load, by those of the plan
	l.plans.Go(func() {
		plan.Run(ctx, func(_ context.Context, n int) (workload.Reply, error) {
			number := int(l.calls.Add(1))
			numbers.Store(n, number)
			return l.do(number)
		}, func(r workload.Record) {
			number, _ := numbers.LoadAndDelete(r.Call)
			r.Call = number.(int)
			if r.Start.Sub(r.Intended) > workload.Tolerance {
				l.late.Store(time.Now().UnixNano())
			}
			l.session.apply(live.CallEnded{Load: l.id, Record: r})
			l.underWay.Add(-1)
		})
	})
}

// do makes one call.
func (l *load) do(number int) (workload.Reply, error) {
	l.underWay.Add(1) // until its record arrives
	c := l.acquire()
	defer l.release(c)
	return c.call(context.WithValue(l.session.calling, callKey{}, number), number)
}

// lateTime is how long a load counts as late after a call that started late.
const lateTime = 2 * time.Second

// sample returns a sample of the load, or false if it is off and no call is under way.
func (l *load) sample() (live.Sample, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := live.Sample{Load: l.id, UnderWay: int(l.underWay.Load())}
	if l.current == nil || !l.on && s.UnderWay == 0 {
		return s, false
	}
	s.Late = time.Since(time.Unix(0, l.late.Load())) < lateTime
	s.Statistics = l.current.conn.Statistics()
	s.Ejections, s.Denied = s.Ejections+l.before.Ejections, s.Denied+l.before.Denied
	for c := range l.retired {
		s.Waiting += c.conn.Statistics().Waiting
	}
	return s, true
}

// end ends the load. The context of all calls must have ended.
func (l *load) end() {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.stopPlan != nil {
		l.stopPlan()
	}
	l.plans.Wait()
	l.mu.Lock()
	last := l.current
	l.current = nil
	l.mu.Unlock()
	last.close()
}

// load returns the load with an ID. An empty ID means A.
func (s *Session) load(id string) (*load, error) {
	if id == "" {
		id = loadIDs[0]
	}
	for _, l := range s.loads {
		if l.id == id {
			return l, nil
		}
	}
	return nil, live.Refuse(http.StatusNotFound, "load %q: want %s", id, strings.Join(loadIDs, " or "))
}
