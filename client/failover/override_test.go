package failover_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A call option overrides the policy, for that call alone.
func TestCallOptions(t *testing.T) {
	ok := func(context.Context) error { return nil }
	twice := strings.TrimSuffix(strings.Repeat("a:1 failed sent, b:1 failed sent, ", 2), ", ")
	for _, tc := range []struct {
		name     string
		policy   failover.Policy
		opts     []grpc.CallOption
		a, b     func(context.Context) error
		down     bool          // both replicas, until b is started after 2 s
		patient  time.Duration // deadline of the caller; zero: none
		want     string
		took     time.Duration
		without  string // path of the next call, without the option
		withouts time.Duration
	}{
		{name: "a timeout where there is none", opts: []grpc.CallOption{failover.WithTimeout(time.Second)}, a: takes(2*time.Second, codes.OK), b: ok,
			want: "a:1 timeout sent, b:1 ok sent", took: time.Second, without: "a:1 ok sent", withouts: 2 * time.Second},
		{name: "a longer timeout", policy: failover.Policy{Timeout: time.Second}, opts: []grpc.CallOption{failover.WithTimeout(3 * time.Second)},
			a: takes(2*time.Second, codes.OK), b: ok, want: "a:1 ok sent", took: 2 * time.Second, without: "a:1 timeout sent, b:1 ok sent", withouts: time.Second},
		{name: "no timeout", policy: failover.Policy{Timeout: time.Second}, opts: []grpc.CallOption{failover.WithTimeout(0)},
			a: takes(2*time.Second, codes.OK), b: ok, want: "a:1 ok sent", took: 2 * time.Second, without: "a:1 timeout sent, b:1 ok sent", withouts: time.Second},
		{name: "a timeout below MinTimeout", policy: failover.Policy{MinTimeout: 5 * time.Second}, opts: []grpc.CallOption{failover.WithTimeout(time.Second)},
			a: takes(2*time.Second, codes.OK), b: ok, patient: 20 * time.Second, want: "a:1 timeout sent, b:1 ok sent", took: time.Second,
			without: "a:1 ok sent", withouts: 2 * time.Second},
		{name: "no timeout, MinTimeout stays", policy: failover.Policy{MinTimeout: 5 * time.Second}, opts: []grpc.CallOption{failover.WithTimeout(0)},
			a: takes(4*time.Second, codes.OK), b: ok, patient: 6 * time.Second, want: "a:1 ok sent", took: 4 * time.Second,
			without: "a:1 ok sent", withouts: 4 * time.Second},
		{name: "two rounds", policy: failover.Policy{Pause: time.Second, Ejection: failover.Ejection{Off: true}}, opts: []grpc.CallOption{failover.WithRounds(2)},
			a: answer(codes.Unavailable), b: answer(codes.Unavailable), want: twice, took: time.Second, without: "a:1 failed sent, b:1 failed sent"},
		{name: "no round is one", policy: failover.Policy{Rounds: 2, Pause: time.Second, Ejection: failover.Ejection{Off: true}}, opts: []grpc.CallOption{failover.WithRounds(0)},
			a: answer(codes.Unavailable), b: answer(codes.Unavailable), want: "a:1 failed sent, b:1 failed sent", without: twice, withouts: time.Second},
		{name: "idempotent", policy: failover.Policy{Idempotent: map[string]bool{}}, opts: []grpc.CallOption{failover.WithIdempotent(true)},
			a: answer(codes.Unavailable), b: ok, want: "a:1 failed sent, b:1 ok sent", without: "a:1 failed sent"},
		{name: "not idempotent", opts: []grpc.CallOption{failover.WithIdempotent(false)}, a: answer(codes.Unavailable), b: ok,
			want: "a:1 failed sent", without: "a:1 failed sent, b:1 ok sent"},
		{name: "wait", opts: []grpc.CallOption{failover.WithWhenDown(failover.WhenDownWait)}, b: ok, down: true, want: "b:1 ok sent", took: 2 * time.Second,
			without: "b:1 ok sent"},
		{name: "do not wait", policy: failover.Policy{WhenDown: failover.WhenDownWait}, opts: []grpc.CallOption{failover.WithWhenDown(failover.WhenDownAttempt)}, b: ok,
			down: true, want: "a:1 refused, b:1 refused", without: "b:1 ok sent", withouts: 2 * time.Second},
		{name: "the last of two options", opts: []grpc.CallOption{failover.WithTimeout(time.Minute), failover.WithTimeout(time.Second)},
			a: takes(2*time.Second, codes.OK), b: ok, want: "a:1 timeout sent, b:1 ok sent", took: time.Second, without: "a:1 ok sent", withouts: 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				works[0].does(tc.a)
				works[1].does(tc.b)
				if tc.down {
					c.crash()
					time.AfterFunc(2*time.Second, c[1].start)
				}
				conn := c.connect(t, tc.policy)
				one := func(which, want string, took time.Duration, opts ...grpc.CallOption) {
					ctx, cancel := context.WithCancel(t.Context())
					if tc.patient > 0 {
						ctx, cancel = context.WithTimeout(ctx, tc.patient)
					}
					defer cancel()
					start := time.Now()
					attempts, err := do(ctx, conn, opts...)
					if got := time.Since(start); path(attempts) != want || (got-took).Abs() > 31*ms {
						t.Errorf("the call %s the option: got %q, %v after %v, want %q after %v", which, path(attempts), err, got, want, took)
					}
				}
				one("with", tc.want, tc.took, tc.opts...)
				one("without", tc.without, tc.withouts)
			})
		})
	}
}

// describe registers the service test.Described, once. Its methods have one idempotency_level each.
var describe = sync.OnceValue(func() error {
	method := func(name string, o *descriptorpb.MethodOptions) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{Name: &name, InputType: proto.String(".test.Nothing"), OutputType: proto.String(".test.Nothing"), Options: o}
	}
	level := func(l descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodOptions {
		return &descriptorpb.MethodOptions{IdempotencyLevel: &l}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("test/described.proto"), Package: proto.String("test"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Nothing")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Described"), Method: []*descriptorpb.MethodDescriptorProto{
			method("Unsaid", nil),
			method("Unknown", level(descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN)),
			method("Repeatable", level(descriptorpb.MethodOptions_IDEMPOTENT)),
			method("Safe", level(descriptorpb.MethodOptions_NO_SIDE_EFFECTS)),
		}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return err
	}
	return protoregistry.GlobalFiles.RegisterFile(file)
})

// The longest matching key decides whether a method is idempotent, or else its descriptor.
func TestIdempotency(t *testing.T) {
	if err := describe(); err != nil {
		t.Fatal(err)
	}
	type keys = map[string]bool
	for _, tc := range []struct {
		name   string
		keys   keys
		method string
		want   bool
	}{
		{"nothing is known", keys{}, "/test.Work/Do", false},
		{"the method's key", keys{"/test.Work/Do": true}, "/test.Work/Do", true},
		{"another method's key", keys{"/test.Work/Do": true}, "/test.Work/DoIt", false},
		{"the service's key", keys{"/test.Work/": true}, "/test.Work/Do", true},
		{"another service's key", keys{"/test.Work/": true}, "/test.Working/Do", false},
		{"the key of all", keys{"/": true}, "/test.Work/Do", true},
		{"the method before the service", keys{"/test.Work/Do": false, "/test.Work/": true, "/": true}, "/test.Work/Do", false},
		{"the service before all", keys{"/test.Work/": false, "/": true}, "/test.Work/Do", false},
		{"the descriptor: nothing", keys{}, "/test.Described/Unsaid", false},
		{"the descriptor: unknown", keys{}, "/test.Described/Unknown", false},
		{"the descriptor: idempotent", keys{}, "/test.Described/Repeatable", true},
		{"the descriptor: no side effects", keys{}, "/test.Described/Safe", true},
		{"a method missing from the descriptor", keys{}, "/test.Described/None", false},
		{"a message, not a method", keys{}, "/test/Nothing", false},
		{"all before the descriptor", keys{"/": false}, "/test.Described/Repeatable", false},
		{"the service before the descriptor", keys{"/test.Described/": false}, "/test.Described/Safe", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				conn := c.connect(t, failover.Policy{Idempotent: tc.keys, Hedge: failover.Hedge{After: time.Second}})
				for _, a := range []struct {
					does func(context.Context) error
					path map[bool]string
				}{
					{answer(codes.Unavailable), map[bool]string{true: "a:1 failed sent, b:1 ok sent", false: "a:1 failed sent"}},
					{takes(time.Minute, codes.OK), map[bool]string{true: "a:1 canceled sent, b:1 ok sent", false: "a:1 ok sent"}}, // hedged
				} {
					works[0].does(a.does)
					var attempts []failover.Attempt
					conn.Invoke(t.Context(), tc.method, new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse), failover.Trace(&attempts))
					if path(attempts) != a.path[tc.want] {
						t.Errorf("got %q, want %q", path(attempts), a.path[tc.want])
					}
				}
			})
		})
	}
}

// An invalid option fails the call before anything is sent.
func TestCallOptionsAreValidated(t *testing.T) {
	for want, opt := range map[string]grpc.CallOption{
		"Timeout -1ns: want 0 or more":                     failover.WithTimeout(-1),
		"Rounds -1: want 0 or more":                        failover.WithRounds(-1),
		"WhenDown 7: want WhenDownAttempt or WhenDownWait": failover.WithWhenDown(7),
		"Hedge.Quantile 1: want 0 to below 1":              failover.WithHedge(failover.Hedge{Quantile: 1}),
		"Hedge.Share -1: want 0 to 1":                      failover.WithMethodPolicy(failover.MethodPolicy{Hedge: &failover.Hedge{Share: -1}}),
	} {
		t.Run(want, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				attempts, err := call(t.Context(), c.connect(t, failover.Policy{}), opt)
				if status.Code(err) != codes.InvalidArgument || reason(err) != failover.ReasonInvalid || !strings.Contains(err.Error(), want) || len(attempts) != 0 {
					t.Errorf("got %q, %v, want InvalidArgument with %q", path(attempts), err, want)
				}
			})
		})
	}
}

// A method policy overrides the policy, and a call option overrides both.
func TestMethodPolicies(t *testing.T) {
	for _, tc := range []struct {
		name    string
		methods map[string]failover.MethodPolicy
		opts    []grpc.CallOption
		want    string
	}{
		{"none", nil, nil, "a:1 failed sent, b:1 failed sent"},
		{"of all methods", map[string]failover.MethodPolicy{"/": {Idempotent: new(false)}}, nil, "a:1 failed sent"},
		{"of the service", map[string]failover.MethodPolicy{"/": {Rounds: new(9)}, "/test.Work/": {Idempotent: new(false)}}, nil, "a:1 failed sent"},
		{"of the method", map[string]failover.MethodPolicy{"/test.Work/": {Idempotent: new(false)}, workMethod: {}}, nil, "a:1 failed sent, b:1 failed sent"},
		{"of another", map[string]failover.MethodPolicy{"/test.Work/Other": {Idempotent: new(false)}}, nil, "a:1 failed sent, b:1 failed sent"},
		{"and a call's option", map[string]failover.MethodPolicy{"/": {Idempotent: new(false)}}, []grpc.CallOption{failover.WithIdempotent(true)},
			"a:1 failed sent, b:1 failed sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				for _, w := range works {
					w.does(answer(codes.Unavailable))
				}
				conn := c.connect(t, failover.Policy{Methods: tc.methods})
				if attempts, err := do(t.Context(), conn, tc.opts...); path(attempts) != tc.want {
					t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
				}
			})
		})
	}
}
