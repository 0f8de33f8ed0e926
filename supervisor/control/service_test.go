package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// fixture is a supervisor of real processes with a control service.
type fixture struct {
	*supervisor.Supervisor
	supervisorv1.SupervisorClient
	conn *grpc.ClientConn
	ctx  context.Context
	halt func() // ends the supervisor, and waits until it has ended
	end  func() // does the same, and then ends the server
}

// group returns a group of n replicas that play a part. Their names begin with that of the group.
func group(name string, n int, args ...string) spec.Group {
	return spec.Group{Name: name, Count: n, Replica: func(i int) spec.Replica {
		// The stop timeout is not reached, because SIGTERM ends the processes.
		return spec.Replica{Name: fmt.Sprint(name, i), Args: args, StopTimeout: time.Hour}
	}}
}

// healthy says that a replica is healthy 100 ms after it is asked.
func healthy(ctx context.Context, _, _ string) error {
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// control starts a supervisor and its control service, and waits until all replicas are ready.
func control(t testing.TB, reload func(context.Context) error, groups ...spec.Group) *fixture {
	t.Helper()
	s, err := supervisor.New(supervisor.Config{Groups: groups, Stay: true, Health: healthy})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Supervisor: s, ctx: patient(t)}
	l, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	if f.conn, err = NewClient(l.Addr().String(), nil); err != nil {
		t.Fatal(err)
	}
	f.SupervisorClient = supervisorv1.NewSupervisorClient(f.conn)
	f.serve(t, Server{Supervisor: s, Reload: reload}, l)
	t.Cleanup(func() {
		f.end()
		f.conn.Close()
	})
	var unready int
	for _, g := range groups {
		unready += g.Count
	}
	for e := range f.Supervisor.Watch(f.ctx, 0) {
		if e.Kind == event.KindReady {
			unready--
		}
		if unready == 0 {
			return f
		}
	}
	t.Fatalf("still %+v", f.Supervisor.List())
	return nil
}

func (f *fixture) serve(t testing.TB, server Server, l net.Listener) {
	running, stop := context.WithCancel(context.Background())
	serving, stopServing := context.WithCancel(context.Background())
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- f.Run(running) }()
	go func() { served <- server.Serve(serving, l) }()
	f.halt = sync.OnceFunc(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	f.end = sync.OnceFunc(func() {
		f.halt()
		stopServing()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// until waits until ok returns true for the statuses of all replicas.
func (f *fixture) until(t testing.TB, ok func([]status.Status) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	after := f.Sequence()
	for !ok(f.Supervisor.List()) {
		// There may be no event yet: the first ones come soon after Run was called.
		for range f.Supervisor.Watch(ctx, after) {
			break
		}
		if after = f.Sequence(); ctx.Err() != nil {
			t.Fatalf("still %+v", f.Supervisor.List())
		}
	}
}

func states(all []status.Status, state status.State) (n int) {
	for _, s := range all {
		if s.State == state {
			n++
		}
	}
	return n
}

// shown returns "name:state:incarnation" for each replica.
func shown(all []*supervisorv1.Status) string {
	var words []string
	for _, s := range all {
		state := strings.ToLower(strings.TrimPrefix(s.GetState().String(), "STATE_"))
		words = append(words, fmt.Sprintf("%s:%s:%d", s.GetReplica(), state, s.GetIncarnation()))
	}
	return strings.Join(words, " ")
}

func check(t testing.TB, got []*supervisorv1.Status, err error, want string) {
	t.Helper()
	if err != nil || shown(got) != want {
		t.Errorf("got %q, %v, want %q", shown(got), err, want)
	}
}

func TestCommands(t *testing.T) {
	f := control(t, nil, group("web", 2, as("serve")...), group("db", 1, as("serve")...))
	list, err := f.SupervisorClient.List(f.ctx, &supervisorv1.ListRequest{})
	check(t, list.GetReplicas(), err, "web0:ready:1 web1:ready:1 db0:ready:1")

	stop, err := f.SupervisorClient.Stop(f.ctx, &supervisorv1.StopRequest{Names: []string{"web0"}})
	check(t, stop.GetReplicas(), err, "web0:stopped:1")
	get, err := f.SupervisorClient.Get(f.ctx, &supervisorv1.GetRequest{Replica: "web0"})
	if err != nil || get.GetStatus().GetLast().GetSignal() != "SIGTERM" || get.GetStatus().GetPid() != 0 {
		t.Errorf("got %v, %v, want no process after SIGTERM", get, err)
	}
	if _, err := f.SupervisorClient.Start(f.ctx, &supervisorv1.StartRequest{Names: []string{"web"}}); err != nil {
		t.Error(err)
	}
	f.until(t, func(all []status.Status) bool { return states(all, status.StateReady) == 3 })
	restart, err := f.SupervisorClient.Restart(f.ctx, &supervisorv1.RestartRequest{All: true})
	check(t, restart.GetReplicas(), err, "web0:ready:3 web1:ready:2 db0:ready:2")

	scale, err := f.SupervisorClient.Scale(f.ctx, &supervisorv1.ScaleRequest{Group: "web", Count: new(uint32(1))})
	check(t, scale.GetReplicas(), err, "web0:ready:3")
	scale, err = f.SupervisorClient.Scale(f.ctx, &supervisorv1.ScaleRequest{Group: "db", Count: new(uint32(0))})
	check(t, scale.GetReplicas(), err, "")
}

func TestSignal(t *testing.T) {
	f := control(t, nil, group("web", 3, as("serve")...))
	if _, err := f.SupervisorClient.Signal(f.ctx, &supervisorv1.SignalRequest{All: true, Signal: supervisorv1.Signal_SIGNAL_KILL}); err != nil {
		t.Fatal(err)
	}
	f.until(t, func(all []status.Status) bool {
		return !slices.ContainsFunc(all, func(s status.Status) bool {
			return s.Incarnation != 2 || s.Last.Signal != syscall.SIGKILL
		})
	})
	if _, err := f.SupervisorClient.Stop(f.ctx, &supervisorv1.StopRequest{Names: []string{"web1"}}); err != nil {
		t.Fatal(err)
	}
	_, err := f.SupervisorClient.Signal(f.ctx, &supervisorv1.SignalRequest{
		Names: []string{"web1", "web2"}, Signal: supervisorv1.Signal_SIGNAL_KILL,
	})
	if grpcstatus.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "web1: no process is running") {
		t.Errorf("got %v, want the refusal for web1", err)
	}
	f.until(t, func(all []status.Status) bool { return all[2].Incarnation == 3 })
}

func TestSetPolicy(t *testing.T) {
	web := group("web", 1, as("serve")...)
	web.Policy = restart.Policy{Mode: restart.ModeOnFailure, Delay: time.Second}
	f := control(t, nil, web)
	// The name of the only group may be left out.
	reply, err := f.SupervisorClient.SetPolicy(f.ctx, &supervisorv1.SetPolicyRequest{Policy: &supervisorv1.Policy{
		Delay: durationpb.New(0), Limit: &supervisorv1.Limit{Exits: new(uint32(5))},
	}})
	want := restart.Policy{Mode: restart.ModeOnFailure, Limit: restart.Limit{Exits: 5}}
	var got restart.Policy
	if err != nil || merge(&got, reply.GetPolicy()) != nil || got != want || f.Current()[0].Policy != want {
		t.Errorf("got %+v and %+v, %v, want %+v", got, f.Current()[0].Policy, err, want)
	}
	_, err = f.SupervisorClient.SetPolicy(f.ctx, &supervisorv1.SetPolicyRequest{Policy: &supervisorv1.Policy{
		Delay: durationpb.New(time.Hour), Backoff: &supervisorv1.Backoff{Jitter: new(float64(2))},
	}})
	if grpcstatus.Code(err) != codes.InvalidArgument || f.Current()[0].Policy != want {
		t.Errorf("got %v and %+v, want an error about the jitter, and no change", err, f.Current()[0].Policy)
	}
}

func TestReload(t *testing.T) {
	answers := make(chan error, 1)
	f := control(t, func(context.Context) error { return <-answers }, group("web", 1, as("serve")...))
	for err, want := range map[error]codes.Code{
		errors.New("cluster.yaml:3: replicas 0: want 1 or more"): codes.InvalidArgument,
		fmt.Errorf("replica web0: %w", supervisor.ErrNotReady):   codes.FailedPrecondition,
	} {
		answers <- err
		_, got := f.Reload(f.ctx, &supervisorv1.ReloadRequest{})
		if grpcstatus.Code(got) != want || grpcstatus.Convert(got).Message() != err.Error() {
			t.Errorf("got %v, want %v: %v", got, want, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	f := control(t, nil, group("web", 1, as("serve")...), group("db", 1, as("serve")...))
	end := func(stream grpc.ServerStreamingClient[supervisorv1.RollingRestartResponse], err error) error {
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	call := func(_ any, err error) error { return err }
	for name, tc := range map[string]struct {
		err     error
		code    codes.Code
		message string
	}{
		"stop nothing":    {call(f.SupervisorClient.Stop(f.ctx, &supervisorv1.StopRequest{})), codes.InvalidArgument, "want names of replicas or groups, or all"},
		"stop both":       {call(f.SupervisorClient.Stop(f.ctx, &supervisorv1.StopRequest{Names: []string{"web"}, All: true})), codes.InvalidArgument, "all true"},
		"start no name":   {call(f.SupervisorClient.Start(f.ctx, &supervisorv1.StartRequest{Names: []string{""}})), codes.InvalidArgument, `[""]`},
		"restart unknown": {call(f.SupervisorClient.Restart(f.ctx, &supervisorv1.RestartRequest{Names: []string{"web0", "x"}})), codes.NotFound, `"x": no such replica or group`},
		"roll nothing":    {end(f.SupervisorClient.RollingRestart(f.ctx, &supervisorv1.RollingRestartRequest{})), codes.InvalidArgument, "or all"},
		"roll unknown":    {end(f.SupervisorClient.RollingRestart(f.ctx, &supervisorv1.RollingRestartRequest{Names: []string{"x"}})), codes.NotFound, `"x"`},
		"get unknown":     {call(f.SupervisorClient.Get(f.ctx, &supervisorv1.GetRequest{Replica: "x"})), codes.NotFound, `"x": no such replica or group`},
		"no signal":       {call(f.SupervisorClient.Signal(f.ctx, &supervisorv1.SignalRequest{All: true})), codes.InvalidArgument, "SIGNAL_UNSPECIFIED"},
		"no count":        {call(f.SupervisorClient.Scale(f.ctx, &supervisorv1.ScaleRequest{Group: "web"})), codes.InvalidArgument, "count is not given: want 0 to 1000"},
		"count":           {call(f.SupervisorClient.Scale(f.ctx, &supervisorv1.ScaleRequest{Group: "web", Count: new(uint32(1001))})), codes.InvalidArgument, "count 1001"},
		"which group":     {call(f.SupervisorClient.Scale(f.ctx, &supervisorv1.ScaleRequest{Count: new(uint32(1))})), codes.InvalidArgument, "several groups: want one of web, db"},
		"reload no file":  {call(f.Reload(f.ctx, &supervisorv1.ReloadRequest{})), codes.FailedPrecondition, "without a cluster file"},
	} {
		if grpcstatus.Code(tc.err) != tc.code || !strings.Contains(tc.err.Error(), tc.message) {
			t.Errorf("%s: got %v, want %v with %q", name, tc.err, tc.code, tc.message)
		}
	}
	f.until(t, func(all []status.Status) bool { return all[0].Incarnation == 1 && all[1].Incarnation == 1 })
}

// A command without a running supervisor fails.
func TestCommandsWithoutARun(t *testing.T) {
	s := service{supervisor: new(supervisor.Supervisor)}
	_, err := s.Start(t.Context(), &supervisorv1.StartRequest{All: true})
	if grpcstatus.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v, want FAILED_PRECONDITION", err)
	}
}

func TestServerShowsItsHealth(t *testing.T) {
	f := control(t, nil, group("web", 1, as("serve")...))
	reply, err := healthv1.NewHealthClient(f.conn).Check(f.ctx, &healthv1.HealthCheckRequest{Service: "supervisor.v1.Supervisor"})
	if err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v, want SERVING", reply, err)
	}
}

// A connection on which nothing is sent does not keep Serve from returning.
func TestServeEndsInSpiteOfASilentConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes 1 s, the time that Serve waits")
	}
	t.Parallel()
	f := control(t, nil, group("web", 1, as("serve")...))
	silent, err := net.Dial("tcp", strings.TrimPrefix(f.conn.Target(), "passthrough:///"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ended := make(chan struct{})
	go func() { f.end(); close(ended) }()
	select {
	case <-ended:
	case <-patient(t).Done():
		t.Error("Serve has not returned")
	}
}

// The code tells callers what they can do about an error.
func TestCodesOfErrors(t *testing.T) {
	for err, want := range map[error]codes.Code{
		supervisor.ErrUnknown:    codes.NotFound,
		supervisor.ErrNotRunning: codes.FailedPrecondition,
		supervisor.ErrNotReady:   codes.FailedPrecondition,
		supervisor.ErrClosed:     codes.FailedPrecondition,
		supervisor.ErrSuperseded: codes.Aborted,
		event.ErrForgotten:       codes.OutOfRange,
		context.Canceled:         codes.Canceled,
		context.DeadlineExceeded: codes.DeadlineExceeded,
		errors.New("else"):       codes.InvalidArgument,
	} {
		got := statusError(errors.Join(fmt.Errorf("replica a: %w", err)), codes.InvalidArgument)
		if grpcstatus.Code(got) != want || grpcstatus.Convert(got).Message() != "replica a: "+err.Error() {
			t.Errorf("%v becomes %v, want %v", err, got, want)
		}
	}
}

// When its context ends, Serve cancels calls in flight, here a Watch of a supervisor that never
// ends.
func TestServeCutsCallsOff(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes 1 s, the time that Serve waits")
	}
	t.Parallel()
	l, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	server := Server{Supervisor: new(supervisor.Supervisor)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	conn, err := NewClient(l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := supervisorv1.NewSupervisorClient(conn).Watch(patient(t), &supervisorv1.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
}
