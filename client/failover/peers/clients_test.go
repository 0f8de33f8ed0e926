package peers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/failsafegrpc"
	failsafetimeout "github.com/failsafe-go/failsafe-go/timeout"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/timeout"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// attempts is how many a call has at most. For failover it is one round.
const attempts = 3

// client is a way to reach the replicas.
type client struct {
	name string
	// dial returns a connection to the replicas at addrs. Attempts have the deadline, unless it is
	// zero.
	dial func(addrs []string, deadline time.Duration) (*grpc.ClientConn, error)
	// plain says that dial has no use for the deadline: whoever calls sets it.
	plain bool
}

var (
	bare       = client{name: "bare", dial: dialBare, plain: true}
	again      = client{name: "bare-again", dial: dialBare, plain: true}
	roundRobin = client{name: "round-robin", dial: dialPlainRoundRobin, plain: true}
	ours       = client{name: "failover", dial: dialFailover}
	others     = []client{
		{name: "go-grpc-middleware", dial: dialMiddleware},
		{name: "failsafe-go", dial: dialFailsafe},
		{name: "grpc-retryPolicy", dial: dialRetryPolicy},
	}
)

// policy is failover's policy in all that is measured here.
func policy(deadline time.Duration) failover.Policy {
	return failover.Policy{
		Timeout:    deadline,
		Idempotent: map[string]bool{"/": true},
	}
}

func dialFailover(addrs []string, deadline time.Duration) (*grpc.ClientConn, error) {
	return dialPolicy(addrs, policy(deadline))
}

func dialPolicy(addrs []string, p failover.Policy) (*grpc.ClientConn, error) {
	conn, err := failover.NewClient("static:///"+strings.Join(addrs, ","), p, plaintext)
	if err != nil {
		return nil, err
	}
	return conn.ClientConn, nil
}

func dialBare(addrs []string, _ time.Duration) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addrs[0], plaintext)
}

// dialMiddleware repeats at once, as the others do; go-grpc-middleware's default is after 50 ms.
func dialMiddleware(addrs []string, deadline time.Duration) (*grpc.ClientConn, error) {
	atOnce := func(context.Context, uint) time.Duration { return 0 }
	chain := []grpc.UnaryClientInterceptor{
		retry.UnaryClientInterceptor(retry.WithMax(attempts), retry.WithCodes(codes.Unavailable), retry.WithBackoff(atOnce)),
	}
	if deadline > 0 {
		chain = append(chain, timeout.UnaryClientInterceptor(deadline))
	}
	return dialRoundRobin(addrs, "", grpc.WithChainUnaryInterceptor(chain...))
}

func dialFailsafe(addrs []string, deadline time.Duration) (*grpc.ClientConn, error) {
	policies := []failsafe.Policy[any]{failsafegrpc.NewRetryPolicyBuilder[any]().WithMaxAttempts(attempts).Build()}
	if deadline > 0 {
		policies = append(policies, failsafetimeout.New[any](deadline))
	}
	return dialRoundRobin(addrs, "", grpc.WithUnaryInterceptor(failsafegrpc.NewUnaryClientInterceptor(policies...)))
}

// dialRetryPolicy repeats as soon as gRPC allows. The deadline is the call's, as a retryPolicy has
// none for an attempt.
func dialRetryPolicy(addrs []string, deadline time.Duration) (*grpc.ClientConn, error) {
	method := fmt.Sprintf(`"name": [{}], "retryPolicy": {"maxAttempts": %d, "retryableStatusCodes": ["UNAVAILABLE"],
		"initialBackoff": "0.000001s", "maxBackoff": "0.000001s", "backoffMultiplier": 1}`, attempts)
	if deadline > 0 {
		method += fmt.Sprintf(`, "timeout": "%fs"`, deadline.Seconds())
	}
	return dialRoundRobin(addrs, "{"+method+"}")
}

func dialPlainRoundRobin(addrs []string, _ time.Duration) (*grpc.ClientConn, error) {
	return dialRoundRobin(addrs, "")
}

// dialRoundRobin returns a connection that takes the replicas in turn. methodConfig is the one of
// its service config, or empty.
func dialRoundRobin(addrs []string, methodConfig string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	var state resolver.State
	for _, a := range addrs {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	replicas := manual.NewBuilderWithScheme("replicas")
	replicas.InitialState(state)
	config := fmt.Sprintf(`{"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [%s]}`, methodConfig)
	opts = append(opts, plaintext, grpc.WithResolvers(replicas), grpc.WithDefaultServiceConfig(config))
	return grpc.NewClient("replicas:///", opts...)
}

var plaintext = grpc.WithTransportCredentials(insecure.NewCredentials())

// connection is a client's connection.
type connection struct {
	client
	health   healthv1.HealthClient
	deadline time.Duration
}

// connect returns a connection, which the end of the test closes.
func (c client) connect(tb testing.TB, addrs []string, deadline time.Duration) *connection {
	tb.Helper()
	conn, err := c.dial(addrs, deadline)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	conn.Connect()
	return &connection{client: c, health: healthv1.NewHealthClient(conn), deadline: deadline}
}

// call makes one call.
func (c *connection) call() error {
	ctx := context.Background()
	if c.plain && c.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.deadline)
		defer cancel()
	}
	_, err := c.health.Check(ctx, new(healthv1.HealthCheckRequest))
	return err
}
