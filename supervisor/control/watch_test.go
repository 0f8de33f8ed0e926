package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

type watcher = grpc.ServerStreamingClient[supervisorv1.WatchResponse]

// watch starts to watch. It returns when no later event can be missed.
func (f *fixture) watch(t testing.TB, after *uint64) watcher {
	t.Helper()
	stream, err := f.SupervisorClient.Watch(f.ctx, &supervisorv1.WatchRequest{After: after})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	return stream
}

// next returns the next event, or fails the test.
func next(t testing.TB, w watcher) *supervisorv1.Event {
	t.Helper()
	reply, err := w.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return reply.GetEvent()
}

func label(kind supervisorv1.EventKind) string {
	return strings.ToLower(strings.TrimPrefix(kind.String(), "EVENT_KIND_"))
}

// nudge causes n events.
func (f *fixture) nudge(t testing.TB, n int) {
	t.Helper()
	for range n {
		if err := f.Supervisor.Signal(syscall.SIGCONT, "web0"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatchFromNowAndFromBefore(t *testing.T) {
	f := control(t, nil, group("web", 1, as("serve")...))
	live := f.watch(t, nil)
	f.nudge(t, 3)
	var latest uint64
	for range 3 {
		e := next(t, live)
		if e.GetKind() != supervisorv1.EventKind_EVENT_KIND_SIGNALED || e.GetSignal() != "SIGCONT" {
			t.Errorf("got %v, want a SIGCONT since the watch began", e)
		}
		latest = e.GetSequence()
	}
	var kinds []string
	for w, n := f.watch(t, new(uint64(0))), uint64(1); n <= latest; n++ {
		e := next(t, w)
		if e.GetSequence() != n {
			t.Errorf("event %d instead of %d", e.GetSequence(), n)
		}
		kinds = append(kinds, label(e.GetKind()))
	}
	if got, want := strings.Join(kinds, " "), "added launched ready signaled signaled signaled"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if e := next(t, f.watch(t, new(latest-1))); e.GetSequence() != latest {
		t.Errorf("resumed at event %d, want %d", e.GetSequence(), latest)
	}
}

// record watches from the first event until it has seen a number of exits, and returns "sequence
// replica kind" of each event. It reconnects after every 25 events.
func (f *fixture) record(exits int) (events []string, err error) {
	for after := uint64(0); exits > 0 && err == nil; {
		ctx, cancel := context.WithCancel(f.ctx)
		var stream watcher
		stream, err = f.SupervisorClient.Watch(ctx, &supervisorv1.WatchRequest{After: new(after)})
		for n := 0; n < 25 && exits > 0 && err == nil; n++ {
			var reply *supervisorv1.WatchResponse
			if reply, err = stream.Recv(); err != nil {
				break
			}
			e := reply.GetEvent()
			if after = e.GetSequence(); e.GetKind() == supervisorv1.EventKind_EVENT_KIND_EXITED {
				exits--
			}
			events = append(events, fmt.Sprint(e.GetSequence(), " ", e.GetReplica(), " ", label(e.GetKind())))
		}
		cancel()
	}
	return events, err
}

// During crashes, each of several watchers sees every event once, in order.
func TestWatchersSeeEveryEventOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes 1 s")
	}
	t.Parallel()
	const crashes = 30
	f := control(t, nil, group("web", 2, as("serve")...))
	seen := make(chan []string, 3)
	for range cap(seen) {
		go func() {
			events, err := f.record(crashes)
			if err != nil {
				t.Error(err)
			}
			seen <- events
		}()
	}
	for n := range crashes {
		name := fmt.Sprint("web", n%2)
		if err := f.Supervisor.Signal(syscall.SIGKILL, name); err != nil {
			t.Fatal(err)
		}
		f.until(t, func(all []status.Status) bool {
			return all[n%2].Incarnation == n/2+2 && all[n%2].State == status.StateReady
		})
	}
	first := <-seen
	for i, e := range first {
		if !strings.HasPrefix(e, fmt.Sprint(i+1, " ")) {
			t.Fatalf("event %q instead of %d", e, i+1)
		}
	}
	for range cap(seen) - 1 {
		if other := <-seen; !slices.Equal(other, first) {
			t.Errorf("two watchers saw different events:\n%v\n%v", first, other)
		}
	}
}

func TestWatchOfForgottenEvents(t *testing.T) {
	f := control(t, nil, group("web", 1, as("serve")...))
	f.nudge(t, 5000)
	for _, after := range []uint64{0, 1_000_000} {
		_, err := f.watch(t, new(after)).Recv()
		if grpcstatus.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "not kept") {
			t.Errorf("after %d: %v, want OUT_OF_RANGE", after, err)
		}
	}
}

// A watcher that does not read is disconnected, and does not affect others.
func TestSlowWatchersHinderNobody(t *testing.T) {
	f := control(t, nil, group("web", 1, as("serve")...))
	slow := f.watch(t, nil)
	f.nudge(t, 20000)
	e := next(t, f.watch(t, new(f.Sequence()-1)))
	if e.GetSequence() != f.Sequence() {
		t.Errorf("got %v", e)
	}
	for n := uint64(4); ; n++ {
		reply, err := slow.Recv()
		if err != nil {
			if grpcstatus.Code(err) != codes.OutOfRange || n == 4 {
				t.Errorf("after %d events: %v, want OUT_OF_RANGE", n-4, err)
			}
			break
		}
		if reply.GetEvent().GetSequence() != n {
			t.Fatalf("event %v instead of %d", reply.GetEvent(), n)
		}
	}
}

// Watchers get the last event, and then the end of the stream.
func TestWatchEndsWithTheSupervisor(t *testing.T) {
	f := control(t, nil, group("web", 2, as("serve")...))
	w := f.watch(t, nil)
	f.halt() // the server is still running
	var kinds []string
	for {
		reply, err := w.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, label(reply.GetEvent().GetKind()))
	}
	slices.Sort(kinds)
	if got, want := strings.Join(kinds, " "), "exited exited removed removed stopping stopping"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// roll performs a rolling restart, and returns "replica kind" of its events. At the first one it
// calls meanwhile.
func (f *fixture) roll(name string, meanwhile func()) (events []string, err error) {
	stream, err := f.SupervisorClient.RollingRestart(f.ctx, &supervisorv1.RollingRestartRequest{Names: []string{name}})
	for err == nil {
		var reply *supervisorv1.RollingRestartResponse
		if reply, err = stream.Recv(); err == nil {
			if len(events) == 0 {
				meanwhile()
			}
			events = append(events, reply.GetEvent().GetReplica()+" "+label(reply.GetEvent().GetKind()))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return events, err
}

// Events of other replicas are not sent.
func TestRollingRestartTellsItsEvents(t *testing.T) {
	web := group("web", 2, as("serve")...)
	web.Replica = func(i int) spec.Replica {
		return spec.Replica{Name: fmt.Sprint("web", i), Args: as("serve"), Addr: "unused:1", Ready: spec.Probe{Kind: spec.ProbeGRPC}, StopTimeout: time.Hour}
	}
	f := control(t, nil, web, group("db", 1, as("serve")...))
	var want []string
	for _, name := range []string{"web0", "web1"} {
		for _, kind := range []string{"stopping", "exited", "launched", "ready"} {
			want = append(want, name+" "+kind)
		}
	}
	got, err := f.roll("web", func() {
		if err := f.Supervisor.Signal(syscall.SIGCONT, "db0"); err != nil {
			t.Error(err)
		}
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestRollingRestartStopsAtAReplicaThatIsNotReady(t *testing.T) {
	web := group("web", 3, as("serve")...)
	// The second incarnation of web1 exits with code 7.
	web.Replica = func(i int) spec.Replica {
		script := `[ {i} = 1 ] && [ "$CRASHLAB_INCARNATION" = 2 ] && exit 7; exec "$@"`
		return spec.Replica{
			Name: fmt.Sprint("web", i), Args: append([]string{"sh", "-c", strings.ReplaceAll(script, "{i}", fmt.Sprint(i)), "sh"}, as("serve")...),
			Ready: spec.Probe{Kind: spec.ProbeGRPC}, Addr: "unused:1", StopTimeout: time.Hour,
		}
	}
	web.Policy.Delay = time.Hour
	f := control(t, nil, web)
	got, err := f.roll("web", func() {})
	if grpcstatus.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "replica web1: it did not become ready: exit code 7") {
		t.Errorf("got %v, want the error of web1", err)
	}
	if len(got) == 0 || got[len(got)-1] != "web1 exited" {
		t.Errorf("got %q, want them to end with the exit of web1", got)
	}
	if s, _ := f.Supervisor.Get("web2"); s.Incarnation != 1 {
		t.Errorf("web2 was restarted: %+v", s)
	}
}

// One iteration is one kill -9. It is measured until a watcher receives the event.
func BenchmarkExitToEvent(b *testing.B) {
	f := control(b, nil, group("web", 3, as("serve")...))
	f.ctx = b.Context()
	w := f.watch(b, nil)
	var took []time.Duration
	for b.Loop() {
		s, err := f.Supervisor.Get("web0")
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		until(b, w, supervisorv1.EventKind_EVENT_KIND_EXITED)
		took = append(took, time.Since(start))
		// Start forgets the exits, which would delay further relaunches.
		if err := f.Supervisor.Start("web0"); err != nil {
			b.Fatal(err)
		}
		until(b, w, supervisorv1.EventKind_EVENT_KIND_READY)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

func until(t testing.TB, w watcher, kind supervisorv1.EventKind) {
	for next(t, w).GetKind() != kind {
	}
}
