package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/failsafegrpc"
	failsafetimeout "github.com/failsafe-go/failsafe-go/timeout"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"example.com/crashlab/client/failover"
)

// settings are what the libraries have in common. Of failover's clients only timeout and deadline
// are used: their policy is the rest.
type settings struct {
	attempts     int           // of a call, at most
	pause        time.Duration // before the second attempt; it doubles with each, up to maxPause. Zero: none
	timeout      time.Duration // of an attempt; for retryPolicy, which has none, of the call. Zero: none
	deadline     time.Duration // of the caller's context. Zero: none
	waitForReady bool          // an attempt waits for a connection instead of failing
	redial       time.Duration // from one dial of a replica that is down to the next. Zero: gRPC's default
}

const (
	maxPause = time.Second
	jitter   = 0.2 // share of a pause; retryPolicy's own
)

// client is a way to reach the replicas.
type client struct {
	name     string
	dial     func(addrs []string, s settings) (*grpc.ClientConn, error)
	plain    bool // it makes one attempt, and has no timeout of its own
	settings settings
	about    string // its configuration, in Markdown
}

// The clients of the benchmarks.
var (
	bare       = client{name: "bare", dial: dialBare, plain: true}
	again      = client{name: "bare-again", dial: dialBare, plain: true}
	roundRobin = client{name: "round-robin", dial: dialRoundRobin, plain: true}

	ours   = client{name: "failover", dial: dialFailover}
	others = []client{
		{name: "go-grpc-middleware", dial: dialMiddleware},
		{name: "failsafe-go", dial: dialFailsafe},
		{name: "grpc-retryPolicy", dial: dialRetryPolicy},
	}
)

// policy is failover's zero policy. All calls are idempotent.
func policy(timeout time.Duration) failover.Policy {
	return failover.Policy{
		Timeout:    timeout,
		Idempotent: map[string]bool{"/": true},
	}
}

func dialFailover(addrs []string, s settings) (*grpc.ClientConn, error) {
	return dialPolicy(addrs, policy(s.timeout))
}

func dialRecommended(addrs []string, s settings) (*grpc.ClientConn, error) {
	p := failover.Recommended()
	p.Timeout, p.Idempotent = s.timeout, map[string]bool{"/": true}
	return dialPolicy(addrs, p)
}

func dialPolicy(addrs []string, p failover.Policy) (*grpc.ClientConn, error) {
	conn, err := failover.NewClient("static:///"+strings.Join(addrs, ","), p, plaintext)
	if err != nil {
		return nil, err
	}
	return conn.ClientConn, nil
}

func dialBare(addrs []string, _ settings) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addrs[0], plaintext)
}

func dialPickFirst(addrs []string, s settings) (*grpc.ClientConn, error) {
	return dialReplicas(addrs, "pick_first", s, "")
}

func dialRoundRobin(addrs []string, s settings) (*grpc.ClientConn, error) {
	return dialReplicas(addrs, "round_robin", s, "")
}

func dialMiddleware(addrs []string, s settings) (*grpc.ClientConn, error) {
	pause := retry.BackoffLinear(0) // the default is 50 ms
	if s.pause > 0 {
		pause = retry.BackoffExponentialWithJitterBounded(s.pause, jitter, maxPause)
	}
	return dialReplicas(addrs, "round_robin", s, "", grpc.WithUnaryInterceptor(retry.UnaryClientInterceptor(
		retry.WithMax(uint(s.attempts)), retry.WithBackoff(pause), retry.WithPerRetryTimeout(s.timeout))))
}

func dialFailsafe(addrs []string, s settings) (*grpc.ClientConn, error) {
	repeat := failsafegrpc.NewRetryPolicyBuilder[any]().WithMaxAttempts(s.attempts)
	if s.pause > 0 {
		repeat = repeat.WithBackoff(s.pause, maxPause).WithJitterFactor(jitter)
	}
	if s.timeout > 0 {
		repeat = repeat.HandleErrors(failsafetimeout.ErrExceeded)
	}
	policies := []failsafe.Policy[any]{repeat.Build()}
	if s.timeout > 0 {
		policies = append(policies, failsafetimeout.New[any](s.timeout))
	}
	return dialReplicas(addrs, "round_robin", s, "", grpc.WithUnaryInterceptor(failsafegrpc.NewUnaryClientInterceptor(policies...)))
}

func dialRetryPolicy(addrs []string, s settings) (*grpc.ClientConn, error) {
	first, longest := s.pause, maxPause
	if s.pause == 0 { // which gRPC does not allow
		first, longest = time.Microsecond, time.Microsecond
	}
	method := fmt.Sprintf(`, "retryPolicy": {"maxAttempts": %d, "retryableStatusCodes": ["UNAVAILABLE"],
		"initialBackoff": "%fs", "maxBackoff": "%fs", "backoffMultiplier": 2}`, s.attempts, first.Seconds(), longest.Seconds())
	if s.timeout > 0 {
		method += fmt.Sprintf(`, "timeout": "%fs"`, s.timeout.Seconds())
	}
	return dialReplicas(addrs, "round_robin", s, method)
}

// dialReplicas returns a connection that balances the load over the replicas. More fields for all
// methods of the service config begin with a comma.
func dialReplicas(addrs []string, balancer string, s settings, method string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	var state resolver.State
	for _, a := range addrs {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	replicas := manual.NewBuilderWithScheme("replicas")
	replicas.InitialState(state)
	config := fmt.Sprintf(`{"loadBalancingConfig": [{%q: {}}], "methodConfig": [{"name": [{}], "waitForReady": %t%s}]}`,
		balancer, s.waitForReady, method)
	opts = append(opts, plaintext, grpc.WithResolvers(replicas), grpc.WithDefaultServiceConfig(config))
	if s.redial > 0 {
		opts = append(opts, grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: s.redial, Multiplier: 1, Jitter: jitter, MaxDelay: s.redial},
		}))
	}
	return grpc.NewClient("replicas:///", opts...)
}

var plaintext = grpc.WithTransportCredentials(insecure.NewCredentials())

// connection is a client's connection.
type connection struct {
	*grpc.ClientConn
	client client
	health healthv1.HealthClient
}

// connect returns a connection that has begun to connect.
func (c client) connect(addrs []string) (*connection, error) {
	conn, err := c.dial(addrs, c.settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	conn.Connect()
	return &connection{conn, c, healthv1.NewHealthClient(conn)}, nil
}

// check makes one call of grpc.health.v1.Health/Check.
func (c *connection) check() error {
	ctx := context.Background()
	if c.client.settings.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.client.settings.deadline)
		defer cancel()
	}
	_, err := c.health.Check(ctx, new(healthv1.HealthCheckRequest))
	return err
}
