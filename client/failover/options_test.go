package failover_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

func TestNewClientErrors(t *testing.T) {
	reused, err := failover.DialOptions(failover.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 1)
	conn, err := grpc.NewClient(c.target(), append(c.options(), reused...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := call(t.Context(), conn); err != nil {
		t.Errorf("DialOptions by themselves: %v", err)
	}

	for _, tc := range []struct {
		name   string
		target string
		policy failover.Policy
		opts   []grpc.DialOption
		want   string
	}{
		{name: "no target", target: "", want: `target "": want a gRPC target such as`},
		{name: "empty list", target: "static:///", want: "names no replica"},
		{name: "no list", target: "static:", want: "names no replica"},
		{name: "two slashes", target: "static://a:1", want: "want three slashes: static:///a:1"},
		{name: "no port", target: "static:///a:1,b", want: `replica "b": want HOST:PORT`},
		{name: "no host", target: "static:///:1", want: `replica ":1": want HOST:PORT`},
		{name: "port too large", target: "static:///a:65536", want: `port "65536": want 1 to 65535`},
		{name: "port zero", target: "static:///a:0", want: `port "0": want 1 to 65535`},
		{name: "twice", target: "static:///a:1,b:1,a:1", want: `replica "a:1" is listed twice`},
		{name: "twice, spelled in two ways", target: "static:///a:1,a:01", want: `replica "a:01" is listed twice`},
		{name: "space before a host", target: "static:///a:1, b:1", want: `replica " b:1": want HOST:PORT`},
		{name: "space in a host", target: "static:///a b:1", want: `replica "a b:1": want HOST:PORT`},
		{name: "port with a sign", target: "static:///a:+1", want: `port "+1": want 1 to 65535`},
		{name: "empty element", target: "static:///a:1,,b:1", want: `replica "": want HOST:PORT`},
		{name: "negative timeout", policy: failover.Policy{Timeout: -1}, want: "Policy.Timeout -1ns: want 0 or more"},
		{name: "negative rounds", policy: failover.Policy{Rounds: -1}, want: "Policy.Rounds -1: want 0 or more"},
		{name: "negative pause", policy: failover.Policy{Pause: -1}, want: "Policy.Pause -1ns: want 0 or more"},
		{name: "order", policy: failover.Policy{Order: 7}, want: "Policy.Order 7: want OrderFirst to OrderSticky"},
		{name: "MinTimeout", policy: failover.Policy{Timeout: 1, MinTimeout: 2}, want: "Policy.MinTimeout 2ns: want at most the Timeout of 1ns"},
		{name: "a method that the service does not have", policy: failover.Policy{Idempotent: map[string]bool{"/grpc.health.v1.Health/Chek": true}},
			want: `Policy.Idempotent has "/grpc.health.v1.Health/Chek": the methods of grpc.health.v1.Health are Check, List, Watch`},
		{name: "a message instead of a service", policy: failover.Policy{Methods: map[string]failover.MethodPolicy{"/grpc.health.v1.HealthCheckRequest/": {}}},
			want: `Policy.Methods has "/grpc.health.v1.HealthCheckRequest/": grpc.health.v1.HealthCheckRequest is not a service`},
		{name: "a method's rounds", policy: failover.Policy{Methods: map[string]failover.MethodPolicy{"/": {Rounds: new(-1)}}},
			want: `Policy.Methods["/"].Rounds -1: want 0 or more`},
		{name: "a list without a scheme", target: "a:1,b:2", want: `target "a:1,b:2": want static:///a:1,b:2 for a list of replicas`},
		{name: "no method", policy: failover.Policy{Idempotent: map[string]bool{"Check": true}}, want: `Policy.Idempotent has "Check": want "/SERVICE/METHOD", "/SERVICE/" or "/"`},
		{name: "when down", policy: failover.Policy{WhenDown: 2}, want: "Policy.WhenDown 2: want WhenDownAttempt or WhenDownWait"},
		{name: "negative wait", policy: failover.Policy{MaxWait: -1}, want: "Policy.MaxWait -1ns: want 0 or more"},
		{name: "negative waiting", policy: failover.Policy{MaxWaiting: -1}, want: "Policy.MaxWaiting -1: want 0 or more"},
		{name: "negative limit", policy: failover.Policy{MaxInFlight: -1}, want: "Policy.MaxInFlight -1: want 0 or more"},
		{name: "budget ratio", policy: failover.Policy{Budget: failover.Budget{Ratio: 1.1}}, want: "Policy.Budget.Ratio 1.1: want 0 to 1"},
		{name: "budget rate", policy: failover.Policy{Budget: failover.Budget{PerSecond: -1}}, want: "Policy.Budget.PerSecond -1: want 0 or more"},
		{name: "budget burst", policy: failover.Policy{Budget: failover.Budget{Burst: -1}}, want: "Policy.Budget.Burst -1: want 0 or more"},
		{name: "probe", policy: failover.Policy{Ejection: failover.Ejection{After: 1, Probe: -1}}, want: "Policy.Ejection.Probe -1ns: want 0 or more"},
		{name: "ejection after", policy: failover.Policy{Ejection: failover.Ejection{Probe: 1}}, want: "Policy.Ejection.After 0: want 1 or more, or Off"},
		{name: "ejection share", policy: failover.Policy{Ejection: failover.Ejection{After: 1, MaxShare: 1.1}}, want: "Policy.Ejection.MaxShare 1.1: want 0 to 1"},
		{name: "hedge delay", policy: failover.Policy{Hedge: failover.Hedge{After: -1}}, want: "Policy.Hedge.After -1ns: want 0 or more"},
		{name: "hedge quantile", policy: failover.Policy{Hedge: failover.Hedge{Quantile: 1}}, want: "Policy.Hedge.Quantile 1: want 0 to below 1"},
		{name: "hedge share", policy: failover.Policy{Hedge: failover.Hedge{Share: 2}}, want: "Policy.Hedge.Share 2: want 0 to 1"},
		{name: "redial", policy: failover.Policy{Redial: failover.Redial{Every: 1}}, want: "Policy.Redial.Every 1ns: want 0, or 1ms or more"},
		{name: "linger", policy: failover.Policy{Redial: failover.Redial{Linger: -1}}, want: "Policy.Redial.Linger -1ns: want 0 or more"},
		{name: "retryable", policy: failover.Policy{Retryable: []codes.Code{codes.OK}}, want: "Policy.Retryable has OK"},
		{name: "unexecuted OK", policy: failover.Policy{NotExecuted: failover.NotExecuted{Codes: []codes.Code{codes.OK}}}, want: "Policy.NotExecuted.Codes has OK"},
		{name: "shrinking pauses", policy: failover.Policy{PauseGrowth: failover.Growth{Factor: 0.5}}, want: "Policy.PauseGrowth.Factor 0.5: want 0, or 1 or more"},
		{name: "longest pause", policy: failover.Policy{PauseGrowth: failover.Growth{Max: -1}}, want: "Policy.PauseGrowth.Max -1ns: want 0 or more"},
		{name: "jitter", policy: failover.Policy{PauseGrowth: failover.Growth{Jitter: 1.1}}, want: "Policy.PauseGrowth.Jitter 1.1: want 0 to 1"},
		{name: "config is not JSON", policy: failover.Policy{ServiceConfig: "{"}, want: "Policy.ServiceConfig: unexpected end"},
		{name: "config balances", policy: failover.Policy{ServiceConfig: `{"loadBalancingConfig":[{"pick_first":{}}]}`}, want: "has a loadBalancingConfig"},
		{name: "config balances by name", policy: failover.Policy{ServiceConfig: `{"loadBalancingPolicy":"round_robin"}`}, want: "has a loadBalancingPolicy"},
		{name: "config balances in lower case", policy: failover.Policy{ServiceConfig: `{"loadbalancingconfig":[]}`}, want: "has a loadbalancingconfig"},
		{name: "config among the options", opts: []grpc.DialOption{grpc.WithDefaultServiceConfig(`{}`)}, want: "give it in Policy.ServiceConfig"},
		{name: "options used twice", opts: reused, want: "call DialOptions once for each"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.target == "" && tc.name != "no target" {
				tc.target = "static:///a:1"
			}
			conn, err := failover.NewClient(tc.target, tc.policy, append(c.options(), tc.opts...)...)
			if err == nil {
				conn.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, tc.want)
			}
		})
	}
}

// A client for which NewClient returned an error is garbage, and so is everything that its policy
// refers to.
func TestRefusedClientIsGarbage(t *testing.T) {
	collected := make(chan struct{})
	held := new([64]byte)
	runtime.AddCleanup(held, func(struct{}) { close(collected) }, struct{}{})
	policy := failover.Policy{OnReplica: func(failover.ReplicaEvent) { held[0]++ }}
	if _, err := failover.NewClient("static:///a:1", policy); err == nil {
		t.Fatal("accepted, without credentials")
	}
	for {
		runtime.GC()
		select {
		case <-collected:
			return
		default: // until the timeout of the test binary
		}
	}
}

// If a later option has replaced the failover policy, calls fail at once and say so.
func TestDialOptionsReplacedByAnotherConfig(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		ours, err := failover.DialOptions(failover.Policy{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		opts := slices.Concat(c.options(), ours, []grpc.DialOption{grpc.WithDefaultServiceConfig("{}")})
		conn, err := grpc.NewClient(c.target(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		start := time.Now()
		_, err = call(t.Context(), conn)
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "give it in Policy.ServiceConfig") {
			t.Errorf("got %v, want FailedPrecondition and the advice", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no wait", took)
		}
	})
}

// A retryPolicy must not multiply the attempts.
func TestRetryPolicyHasNoEffect(t *testing.T) {
	c := newCluster(t, 1)
	c[0].handle = answer(codes.Unavailable)
	conn := c.connect(t, failover.Policy{ServiceConfig: `{"methodConfig":[{"name":[{}],
		"retryPolicy":{"maxAttempts":5,"initialBackoff":"0.001s","maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`})
	if attempts, _ := call(t.Context(), conn); len(attempts) != 1 || c[0].served.Load() != 1 {
		t.Errorf("%d attempts, %d requests, want one of each", len(attempts), c[0].served.Load())
	}
}

// A method's size limit and timeout apply to each attempt. A config of null sets nothing.
func TestMethodSettingsFromTheServiceConfig(t *testing.T) {
	for _, tc := range []struct {
		name, config, want string
		code               codes.Code
	}{
		{"null", `null`, "a:1 ok sent", codes.OK},
		{"limit", `{"methodConfig":[{"name":[{}],"maxResponseMessageBytes":1}]}`, "a:1 rejected sent", codes.ResourceExhausted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			attempts, err := call(t.Context(), newCluster(t, 1).connect(t, failover.Policy{ServiceConfig: tc.config}))
			if path(attempts) != tc.want || status.Code(err) != tc.code {
				t.Errorf("got %q, %v, want %q and %v", path(attempts), err, tc.want, tc.code)
			}
		})
	}
	t.Run("timeout", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 2)
			stopped := make(chan struct{}) // unlike hang, which answers at the deadline
			defer close(stopped)
			c[0].handle = func(context.Context) error { <-stopped; return nil }
			conn := c.connect(t, failover.Policy{ServiceConfig: `{"methodConfig":[{"name":[{}],"timeout":"1s"}]}`})
			if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "a:1 timeout sent, b:1 ok sent" {
				t.Errorf("got %q, %v, want a timeout and then success", path(attempts), err)
			}
		})
	})
}

// A service config from the resolver, as from DNS, does not replace the failover policy.
func TestResolverServiceConfigIsIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = answer(codes.Unavailable)
		m := manual.NewBuilderWithScheme("test")
		m.BuildCallback = func(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) {
			s := endpoints("ab")
			s.ServiceConfig = cc.ParseServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`)
			m.InitialState(s)
		}
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{}, grpc.WithResolvers(m))
		if attempts, err := call(t.Context(), conn); path(attempts) != "a:1 failed sent, b:1 ok sent" {
			t.Errorf("got %q, %v, want failover to b", path(attempts), err)
		}
	})
}

func TestEveryTraceIsFilled(t *testing.T) {
	conn := newCluster(t, 1).connect(t, failover.Policy{})
	traces := [2][]failover.Attempt{nil, make([]failover.Attempt, 2)} // earlier contents are dropped
	call(t.Context(), conn, failover.Trace(&traces[0]), failover.Trace(&traces[1]))
	for i, got := range traces {
		if path(got) != "a:1 ok sent" {
			t.Errorf("trace %d: got %q, want the one attempt", i+1, path(got))
		}
	}
}

// OnFinish is called for the call, not for its attempts.
func TestOnFinishIsCalledOnce(t *testing.T) {
	for _, end := range []codes.Code{codes.OK, codes.Unavailable} {
		t.Run(end.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].handle, c[1].handle = answer(codes.Unavailable), answer(end)
				var reported []error
				_, err := call(t.Context(), c.connect(t, failover.Policy{}), grpc.OnFinish(func(err error) { reported = append(reported, err) }))
				if status.Code(err) != end || len(reported) != 1 || reported[0] != err {
					t.Errorf("OnFinish got %v, want %v once", reported, err)
				}
			})
		})
	}
}

// Outputs of an earlier attempt must not remain after a later one.
func TestLaterAttemptsStartClean(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = func(ctx context.Context) error {
			grpc.SetHeader(ctx, metadata.Pairs("from", "a"))
			grpc.SetTrailer(ctx, metadata.Pairs("from", "a"))
			return status.Error(codes.Unavailable, "no")
		}
		c[1].crash()
		var header, trailer metadata.MD
		var from peer.Peer
		attempts, err := call(t.Context(), c.connect(t, failover.Policy{}), grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from))
		if path(attempts) != "a:1 failed sent, b:1 refused" || err == nil {
			t.Fatalf("got %q, %v", path(attempts), err)
		}
		if len(header.Get("from")) != 0 || len(trailer.Get("from")) != 0 || from.Addr != nil {
			t.Errorf("got header %v, trailer %v and peer %v of an earlier attempt, want none", header, trailer, from.Addr)
		}
	})
}

// textCodec decodes replies into strings: a codec whose replies are not protobuf messages.
type textCodec struct{}

func (textCodec) Name() string                    { return "text" }
func (textCodec) Marshal(any) ([]byte, error)     { return nil, nil }
func (textCodec) Unmarshal(b []byte, v any) error { *v.(*string) = string(b); return nil }

// A message that came before an error fills the reply. It must be gone after the next attempt,
// which is refused.
func TestReplyOfAnEarlierAttemptIsDropped(t *testing.T) {
	refused := func(t *testing.T, reply any, opts ...grpc.CallOption) {
		c := newCluster(t, 2)
		c[0].other = func(stream grpc.ServerStream) error {
			stream.SendMsg(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING})
			return status.Error(codes.Unavailable, "after the message")
		}
		c[1].crash()
		var attempts []failover.Attempt
		opts = append(opts, failover.Trace(&attempts))
		err := c.connect(t, failover.Policy{}).Invoke(t.Context(), "/a/Method", new(healthv1.HealthCheckRequest), reply, opts...)
		if path(attempts) != "a:1 failed sent, b:1 refused" {
			t.Errorf("got %q, %v, want a:1 failed sent, b:1 refused", path(attempts), err)
		}
	}
	t.Run("protobuf", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var reply healthv1.HealthCheckResponse
			if refused(t, &reply); reply.Status != 0 {
				t.Errorf("got the reply %v, want an empty one", &reply)
			}
		})
	})
	t.Run("another codec", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var reply string
			if refused(t, &reply, grpc.ForceCodec(textCodec{})); reply != "" {
				t.Errorf("got the reply %q, want an empty one", reply)
			}
		})
	})
}
