package fault_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	counterv1 "example.com/crashlab/gen/counter/v1"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/counter"
	"example.com/crashlab/services/fault"
)

var plan = fault.Plan{Seed: 7, Replica: "a", Incarnation: 1}

// replica is a server with faults and the clients of its services, all over one in-memory
// connection.
type replica struct {
	counterv1.CounterClient
	faults  faultv1.FaultClient
	health  healthv1.HealthClient
	crashes chan fault.Crash
}

func start(t *testing.T, initial fault.Faults) *replica {
	t.Helper()
	return startWith(t, plan, initial)
}

func startWith(t *testing.T, plan fault.Plan, initial fault.Faults) *replica {
	t.Helper()
	r := &replica{crashes: make(chan fault.Crash, 100)}
	injector, err := fault.New(plan, initial, func(c fault.Crash) { r.crashes <- c })
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(injector.Unary("counter.v1.Counter")))
	counterv1.RegisterCounterServer(server, &counter.Counter{Replica: "a", Incarnation: 1})
	faultv1.RegisterFaultServer(server, fault.NewService(injector))
	healthv1.RegisterHealthServer(server, health.NewServer())
	listener := bufconn.Listen(1 << 16)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})

	conn, err := grpc.NewClient("passthrough:///replica",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.CounterClient = counterv1.NewCounterClient(conn)
	r.faults = faultv1.NewFaultClient(conn)
	r.health = healthv1.NewHealthClient(conn)
	return r
}

// patiently bounds a call, so that the test fails instead of hanging.
func patiently(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (r *replica) get(t *testing.T) (uint64, codes.Code) {
	t.Helper()
	reply, err := r.Get(patiently(t), &counterv1.GetRequest{})
	return reply.GetValue(), status.Code(err)
}

func (r *replica) set(t *testing.T, req *faultv1.SetRequest) *faultv1.Faults {
	t.Helper()
	reply, err := r.faults.Set(patiently(t), req)
	if err != nil {
		t.Fatalf("Set(%v): %v", req, err)
	}
	return reply.GetFaults()
}

func TestCrashPointDecidesWhetherTheRequestCounts(t *testing.T) {
	for point, next := range map[fault.CrashPoint]uint64{fault.CrashPointArrival: 1, fault.CrashPointReply: 2} {
		t.Run(point.String(), func(t *testing.T) {
			r := start(t, fault.Faults{CrashProbability: 1, CrashPoint: point})
			if value, code := r.get(t); code != codes.Unavailable {
				t.Fatalf("Get = %d, %v; want Unavailable", value, code)
			}
			want := fault.Crash{Request: 1, Method: "/counter.v1.Counter/Get", Point: point, Counts: fault.Counts{Arrived: 1}}
			if got := <-r.crashes; got != want {
				t.Errorf("crash %+v, want %+v", got, want)
			}
			r.set(t, &faultv1.SetRequest{CrashProbability: proto.Float64(0)})
			if value, code := r.get(t); value != next || code != codes.OK {
				t.Errorf("the Get after the crash = %d, %v; want %d, OK", value, code, next)
			}
		})
	}
}

func TestCallbackIsCalledOnce(t *testing.T) {
	r := start(t, fault.Faults{CrashProbability: 1})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, code := r.get(t); code != codes.Unavailable {
				t.Errorf("Get: %v, want Unavailable", code)
			}
		})
	}
	wg.Wait()
	if n := len(r.crashes); n != 1 {
		t.Errorf("the callback was called %d times, want once", n)
	}
}

func TestRequestsCrashAsPlanned(t *testing.T) {
	const p = 0.3
	r := start(t, fault.Faults{CrashProbability: p})
	crashed := 0
	for k := uint64(1); k <= 100; k++ {
		want := codes.OK
		if plan.Draws(k).Crash < p {
			want = codes.Unavailable
			crashed++
		}
		if _, code := r.get(t); code != want {
			t.Errorf("request %d: %v, want %v", k, code, want)
		}
		// Requests that no fault hits must not advance the plan.
		if _, err := r.health.Check(patiently(t), &healthv1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		r.set(t, &faultv1.SetRequest{ErrorCode: proto.String("ABORTED")})
	}
	if crashed == 0 || crashed == 100 {
		t.Errorf("%d of 100 requests crashed: the plan shows nothing", crashed)
	}
}

func TestOnlyTheNamedServicesAreHit(t *testing.T) {
	var hour fault.Distribution
	if err := hour.UnmarshalText([]byte("1h")); err != nil {
		t.Fatal(err)
	}
	for name, faults := range map[string]fault.Faults{
		"crash at arrival": {CrashProbability: 1},
		"crash at reply":   {CrashProbability: 1, CrashPoint: fault.CrashPointReply},
		"hang":             {Hang: true},
		"error":            {ErrorProbability: 1},
		"service time":     {ServiceTime: hour},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, faults)
			reply, err := r.health.Check(patiently(t), &healthv1.HealthCheckRequest{})
			if err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				t.Errorf("health = %v, %v; want SERVING", reply.GetStatus(), err)
			}
			if _, err := r.faults.Get(patiently(t), &faultv1.GetRequest{}); err != nil {
				t.Errorf("Fault/Get: %v", err)
			}
			r.set(t, &faultv1.SetRequest{Hang: proto.Bool(true)})
			if len(r.crashes) > 0 {
				t.Errorf("crash %+v", <-r.crashes)
			}
		})
	}
}

func TestErrorIsAnsweredBeforeAnyWork(t *testing.T) {
	for code, want := range map[codes.Code]codes.Code{codes.OK: codes.Unavailable, codes.Aborted: codes.Aborted} {
		r := start(t, fault.Faults{ErrorProbability: 1, ErrorCode: code, CrashProbability: 1, CrashPoint: fault.CrashPointReply})
		if _, got := r.get(t); got != want {
			t.Errorf("Get with error code %v: %v, want %v", code, got, want)
		}
		if len(r.crashes) > 0 {
			t.Errorf("a request without work crashed at reply: %+v", <-r.crashes)
		}
		r.set(t, &faultv1.SetRequest{CrashProbability: proto.Float64(0), ErrorProbability: proto.Float64(0)})
		if value, _ := r.get(t); value != 1 {
			t.Errorf("the Get after the error = %d, want 1", value)
		}
	}
}

func TestSetChangesOnlyWhatItNames(t *testing.T) {
	r := startWith(t, fault.Plan{Seed: 7, Replica: "a", Incarnation: 4}, fault.Faults{CrashProbability: 0.25, Capacity: 5})
	want := &faultv1.Faults{
		CrashProbability: 0.25,
		CrashPoint:       faultv1.CrashPoint_CRASH_POINT_ARRIVAL,
		ServiceTime:      "0s",
		ErrorCode:        "UNAVAILABLE",
		Plan:             &faultv1.Plan{Seed: 7, Replica: "a", FirstIncarnation: 1},
		Capacity:         5,
	}
	for _, step := range []struct {
		request *faultv1.SetRequest
		change  func()
	}{
		{&faultv1.SetRequest{}, func() {}},
		{&faultv1.SetRequest{CrashProbability: proto.Float64(0.5)}, func() { want.CrashProbability = 0.5 }},
		{
			&faultv1.SetRequest{CrashPoint: faultv1.CrashPoint_CRASH_POINT_REPLY},
			func() { want.CrashPoint = faultv1.CrashPoint_CRASH_POINT_REPLY },
		},
		{&faultv1.SetRequest{ServiceTime: proto.String("exp:1500ms")}, func() { want.ServiceTime = "exp:1500ms" }},
		{&faultv1.SetRequest{Hang: proto.Bool(true)}, func() { want.Hang = true }},
		{&faultv1.SetRequest{ErrorProbability: proto.Float64(1)}, func() { want.ErrorProbability = 1 }},
		{&faultv1.SetRequest{ErrorCode: proto.String("DATA_LOSS")}, func() { want.ErrorCode = "DATA_LOSS" }},
		{
			&faultv1.SetRequest{
				CrashProbability: proto.Float64(0),
				CrashPoint:       faultv1.CrashPoint_CRASH_POINT_ARRIVAL,
				Hang:             proto.Bool(false),
			},
			func() {
				want.CrashProbability, want.Hang = 0, false
				want.CrashPoint = faultv1.CrashPoint_CRASH_POINT_ARRIVAL
			},
		},
		{
			&faultv1.SetRequest{Plan: &faultv1.Plan{Seed: 8, Replica: "b", FirstIncarnation: 4}},
			func() { want.Plan = &faultv1.Plan{Seed: 8, Replica: "b", FirstIncarnation: 4} },
		},
		{&faultv1.SetRequest{Hang: proto.Bool(true)}, func() { want.Hang = true }},
		{
			&faultv1.SetRequest{Plan: &faultv1.Plan{}},
			func() { want.Plan = &faultv1.Plan{Replica: "a", FirstIncarnation: 1} },
		},
	} {
		step.change()
		if got := r.set(t, step.request); !proto.Equal(got, want) {
			t.Errorf("Set(%v) = %v, want %v", step.request, got, want)
		}
		got, err := r.faults.Get(patiently(t), &faultv1.GetRequest{})
		if err != nil || !proto.Equal(got.GetFaults(), want) {
			t.Errorf("Get after Set(%v) = %v, %v; want %v", step.request, got, err, want)
		}
	}
}

func TestInvalidSetChangesNothing(t *testing.T) {
	r := start(t, fault.Faults{CrashProbability: 0.25})
	before := r.set(t, &faultv1.SetRequest{})
	for _, test := range []struct {
		request *faultv1.SetRequest
		want    string
	}{
		{&faultv1.SetRequest{CrashProbability: proto.Float64(1.3)}, "crash_probability 1.3: want 0 to 1"},
		{&faultv1.SetRequest{CrashPoint: 7}, "crash_point 7: want CRASH_POINT_ARRIVAL or CRASH_POINT_REPLY"},
		{&faultv1.SetRequest{ServiceTime: proto.String("5")}, `service_time "5": want 0, a duration`},
		{&faultv1.SetRequest{ErrorProbability: proto.Float64(-1)}, "error_probability -1: want 0 to 1"},
		{&faultv1.SetRequest{ErrorCode: proto.String("OK")}, `error_code "OK": want the name of a gRPC status`},
		{&faultv1.SetRequest{Plan: &faultv1.Plan{FirstIncarnation: 2}}, "plan.first_incarnation 2: want 0 to 1, which is the process's"},
	} {
		// Good values before and after the bad one in the message.
		if test.request.CrashProbability == nil {
			test.request.CrashProbability = proto.Float64(0.75)
		}
		if test.request.ErrorCode == nil {
			test.request.ErrorCode = proto.String("ABORTED")
		}
		test.request.Hang = proto.Bool(true)

		_, err := r.faults.Set(patiently(t), test.request)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), test.want) {
			t.Errorf("Set(%v): %v, want InvalidArgument, %s", test.request, err, test.want)
		}
		if after := r.set(t, &faultv1.SetRequest{}); !proto.Equal(after, before) {
			t.Errorf("Set(%v) failed and left %v, want %v", test.request, after, before)
		}
	}
}

// A replica with a given plan draws like the replica of that name and seed, with launches counted
// from the first incarnation.
func TestSetPlanDecidesTheDraws(t *testing.T) {
	r := startWith(t, fault.Plan{Seed: 9, Replica: "counter-0", Incarnation: 17}, fault.Faults{CrashProbability: 0.5})
	r.set(t, &faultv1.SetRequest{Plan: &faultv1.Plan{Seed: 7, Replica: "a", FirstIncarnation: 16}})
	as := fault.Plan{Seed: 7, Replica: "a", Incarnation: 2}
	for k := range uint64(64) {
		want := codes.OK
		if as.Draws(k+1).Crash < 0.5 {
			want = codes.Unavailable
		}
		if _, code := r.get(t); code != want {
			t.Fatalf("request %d: %v, want %v", k+1, code, want)
		}
	}
}

func TestConcurrentSetsLoseNothing(t *testing.T) {
	r := start(t, fault.Faults{})
	for n := range 200 {
		p := float64(n+1) / 200
		var wg sync.WaitGroup
		for _, req := range []*faultv1.SetRequest{{CrashProbability: &p}, {ErrorProbability: &p}} {
			wg.Go(func() {
				if _, err := r.faults.Set(patiently(t), req); err != nil {
					t.Errorf("Set(%v): %v", req, err)
				}
			})
		}
		wg.Wait()
		if got := r.set(t, &faultv1.SetRequest{}); got.GetCrashProbability() != p || got.GetErrorProbability() != p {
			t.Fatalf("after two concurrent Sets: %v, want both probabilities %v", got, p)
		}
	}
}

func TestNewRefusesBadFaults(t *testing.T) {
	_, err := fault.New(plan, fault.Faults{CrashProbability: 2}, nil)
	if err == nil || err.Error() != "crash_probability 2: want 0 to 1" {
		t.Errorf("New: %v", err)
	}
}
