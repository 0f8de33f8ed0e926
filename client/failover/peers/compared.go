package main

import "time"

const callDeadline = 10 * time.Second

// guide has the attempts and the pauses of gRPC's guide to retries, and a timeout far above the
// service times.
var guide = settings{attempts: 4, pause: 100 * time.Millisecond, timeout: time.Second, deadline: callDeadline}

// inTurn shows, in the overhead, what the other clients over round_robin build on.
var inTurn = client{
	name: "round_robin without retries", dial: dialRoundRobin, plain: true,
	settings: settings{deadline: callDeadline},
}

// compared are the clients that are compared. The first is what the others differ from.
var compared = []client{
	{
		name: "failover, recommended", dial: dialRecommended,
		settings: settings{deadline: callDeadline},
		about:    "`failover.Recommended()` with `Idempotent`, and nothing else.",
	},
	{
		name: "failover, zero policy", dial: dialFailover,
		settings: settings{deadline: callDeadline},
		about:    "`failover.Policy{}` with `Idempotent`: each replica once, no wait.",
	},
	{
		name: "pick_first", dial: dialPickFirst, plain: true,
		settings: settings{deadline: callDeadline},
		about:    "gRPC's default for several addresses: one connection, no retries but gRPC's own transparent ones.",
	},
	{
		name: "retryPolicy", dial: dialRetryPolicy,
		settings: settings{attempts: guide.attempts, pause: guide.pause, deadline: callDeadline},
		about:    "`round_robin` and `retryPolicy` in the service config. A retryPolicy has no timeout for attempts.",
	},
	{
		name: "retryPolicy, wait_for_ready", dial: dialRetryPolicy,
		settings: settings{attempts: guide.attempts, pause: guide.pause, deadline: callDeadline, waitForReady: true},
		about:    "As retryPolicy, with `waitForReady`, as in gRPC's example of retries for Go.",
	},
	{
		name: "go-grpc-middleware", dial: dialMiddleware,
		settings: guide,
		about: "`round_robin`; `retry.WithMax(4)`, `WithBackoff(BackoffExponentialWithJitterBounded(100ms, 0.2, 1s))`, " +
			"`WithPerRetryTimeout(1s)`, and its default codes. The example in its README has 3 attempts, 50 ms apart.",
	},
	{
		name: "failsafe-go", dial: dialFailsafe,
		settings: guide,
		about: "`round_robin`; `failsafegrpc.NewRetryPolicyBuilder` with `WithMaxAttempts(4)`, `WithBackoff(100ms, 1s)`, `WithJitterFactor(0.2)`, " +
			"around a `timeout` of 1 s, which is retried too. The example in its documentation has pauses from 1 s to 30 s.",
	},
	{
		name: "go-grpc-middleware, until the deadline", dial: dialMiddleware,
		settings: settings{
			attempts: 1000, pause: guide.pause, timeout: guide.timeout, deadline: callDeadline,
			waitForReady: true, redial: 25 * time.Millisecond,
		},
		about: "As go-grpc-middleware, with as many attempts as the deadline allows, `waitForReady`, and `grpc.WithConnectParams` so that a replica " +
			"that is down is dialed every 25 ms, as failover does. Its documentation does not go so far.",
	},
}
