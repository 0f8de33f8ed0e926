package otelfailover_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
)

func TestMetricsAddUp(t *testing.T) {
	l := newLab(t, 2)
	conn := l.dial(failover.Policy{Rounds: 2, Budget: failover.Budget{Burst: 2}, Ejection: failover.Ejection{Off: true}})
	calls := func(n int) {
		for range n {
			check(t.Context(), conn)
		}
	}
	calls(3)
	l.replicas[0].handle = answer(codes.Unavailable)
	calls(2) // which spend the budget
	l.replicas[1].handle = answer(codes.NotFound)
	calls(1)
	l.replicas[0].handle = answer(codes.NotFound)
	calls(1)

	m := l.metrics()
	const method = "rpc.method=grpc.health.v1.Health/Check"
	for name, want := range map[string]map[string]int{
		"failover.call.duration": {
			method + " rpc.response.status_code=OK":                                            5,
			"failover.reason=budget_spent " + method + " rpc.response.status_code=UNAVAILABLE": 1,
			"failover.reason=not_retryable " + method + " rpc.response.status_code=NOT_FOUND":  1,
		},
		"failover.call.attempts": {method: 7},
		"failover.attempts": {
			"failover.outcome=ok failover.replica=a:1":       3,
			"failover.outcome=failed failover.replica=a:1":   3,
			"failover.outcome=ok failover.replica=b:1":       2,
			"failover.outcome=rejected failover.replica=a:1": 1,
		},
	} {
		got := points(m[name])
		if len(got) != len(want) {
			t.Errorf("%s: got %v\nwant %v", name, got, want)
		}
		for attributes, n := range want {
			if got[attributes] != n {
				t.Errorf("%s: got %d of %q, want %d", name, got[attributes], attributes, n)
			}
		}
	}
	if sum := m["failover.call.attempts"].(metricdata.Histogram[int64]).DataPoints[0].Sum; sum != 9 {
		t.Errorf("the calls took %d attempts, want 9", sum)
	}
	for name, data := range m {
		for _, set := range attributeSets(data) {
			if v, _ := set.Value("server.address"); v.AsString() != l.target() {
				t.Errorf("%s has server.address %q, want %q", name, v.AsString(), l.target())
			}
		}
	}
}

func attributeSets(a metricdata.Aggregation) (all []attribute.Set) {
	switch a := a.(type) {
	case metricdata.Sum[int64]:
		for _, p := range a.DataPoints {
			all = append(all, p.Attributes)
		}
	case metricdata.Histogram[float64]:
		for _, p := range a.DataPoints {
			all = append(all, p.Attributes)
		}
	case metricdata.Histogram[int64]:
		for _, p := range a.DataPoints {
			all = append(all, p.Attributes)
		}
	}
	return all
}

func TestReplicasAreObserved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, 2)
		l.replicas[0].handle = hang
		l.replicas[1].down.Store(true)
		conn := l.dial(failover.Policy{
			Timeout: time.Second, WhenDown: failover.WhenDownWait, MaxInFlight: 2, Ejection: failover.Ejection{After: 2},
		})
		for range 3 {
			go check(t.Context(), conn)
		}
		synctest.Wait() // two calls are at a, one waits
		want := func(when string, values map[string]int) {
			t.Helper()
			m := l.metrics()
			for name, n := range values {
				metric, replica := "failover."+name, ""
				if name != "call.waiting" {
					metric, replica = "failover.replica."+name[:len(name)-2], "failover.replica="+name[len(name)-1:]+":1"
				}
				if got, ok := points(m[metric])[replica]; !ok || got != n {
					t.Errorf("%s: %s is %d, %v, want %d", when, name, got, ok, n)
				}
			}
		}
		want("two calls in flight", map[string]int{
			"call.waiting": 1, "in_flight/a": 2, "in_flight/b": 0, "limit/a": 2, "limit/b": 2, "ready/a": 1, "ready/b": 0, "ejected/a": 0,
		})
		l.replicas[1].down.Store(false)
		time.Sleep(time.Second)
		synctest.Wait() // the two have hung, and b has answered
		want("after two timeouts", map[string]int{"ejected/a": 1, "ejected/b": 0})
		conn.Close()
		synctest.Wait()
		for _, name := range []string{"call.waiting", "replica.in_flight", "replica.ready"} {
			if got := points(l.metrics()["failover."+name]); len(got) != 0 {
				t.Errorf("a closed connection still shows %s %v", name, got)
			}
		}
	})
}

// Without a limit there is no metric: zero would mean no room.
func TestNoLimitIsNotShown(t *testing.T) {
	l := newLab(t, 1)
	if err := check(t.Context(), l.dial(failover.Policy{})); err != nil {
		t.Fatal(err)
	}
	m := l.metrics()
	if got := points(m["failover.replica.limit"]); len(got) != 0 || len(points(m["failover.replica.ready"])) != 1 {
		t.Errorf("got limits %v and ready %v, want none and one", got, points(m["failover.replica.ready"]))
	}
}

// Two connections to the same replicas add up.
func TestConnectionsAddUp(t *testing.T) {
	l := newLab(t, 1)
	for range 2 {
		if err := check(t.Context(), l.dial(failover.Policy{})); err != nil {
			t.Fatal(err)
		}
	}
	m := l.metrics()
	for name, attributes := range map[string]string{
		"failover.replica.ready": "failover.replica=a:1", "failover.attempts": "failover.outcome=ok failover.replica=a:1",
	} {
		if got := points(m[name])[attributes]; got != 2 {
			t.Errorf("%s is %d, want 2", name, got)
		}
	}
}

// callbacks counts the registered callbacks of a provider.
type callbacks struct {
	metric.MeterProvider
	n    atomic.Int64
	none chan struct{} // closed when the last one is unregistered
}

type countingMeter struct {
	metric.Meter
	callbacks *callbacks
}

type countedRegistration struct {
	metric.Registration
	callbacks *callbacks
}

func (c *callbacks) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return countingMeter{c.MeterProvider.Meter(name, opts...), c}
}

func (m countingMeter) RegisterCallback(f metric.Callback, of ...metric.Observable) (metric.Registration, error) {
	m.callbacks.n.Add(1)
	r, err := m.Meter.RegisterCallback(f, of...)
	return countedRegistration{r, m.callbacks}, err
}

func (r countedRegistration) Unregister() error {
	err := r.Registration.Unregister()
	if r.callbacks.n.Add(-1) == 0 {
		close(r.callbacks.none)
	}
	return err
}

// A provider lives as long as the program, and must not keep connections alive.
func TestConnectionLeavesNothingBehind(t *testing.T) {
	counted := &callbacks{none: make(chan struct{})}
	var conn weak.Pointer[failover.Client]
	// In a bubble, because the runtime may keep a stopped timer, and the connection with it,
	// until it was due.
	bubble(t, func(t *testing.T) {
		l := newLab(t, 1)
		counted.MeterProvider = l.options.MeterProvider
		l.options.MeterProvider = counted
		l.t = noCleanup{t}
		c := l.dial(failover.Policy{})
		check(t.Context(), c)
		if n := counted.n.Load(); n != 1 {
			t.Errorf("%d callbacks for a connection, want 1", n)
		}
		c.Close()
		conn = weak.Make(c)
	})
	limit := time.After(2 * time.Minute)
	for conn.Value() != nil {
		runtime.GC()
		select {
		case <-limit:
			t.Fatal("the connection is kept")
		default:
		}
	}
	select {
	case <-counted.none:
	case <-limit:
		t.Fatalf("%d callbacks are kept", counted.n.Load())
	}
}

// noCleanup is a testing.TB whose cleanups do not keep the connection alive.
type noCleanup struct{ testing.TB }

func (noCleanup) Cleanup(func()) {}
