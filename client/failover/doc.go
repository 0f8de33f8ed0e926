// Package failover makes gRPC calls that survive the failure of single replicas. An attempt that
// fails at one replica is repeated at another, in rounds, each attempt with its own deadline. The
// call returns the first success, or an Error that lists every attempt: which replica, how it
// ended, how long it took, and whether the replica can have seen the request.
//
// NewClient returns a Client, which is an ordinary *grpc.ClientConn: stubs, credentials,
// interceptors and stats handlers work as usual. Begin with the recommended policy:
//
//	policy := failover.Recommended()
//	policy.Idempotent = map[string]bool{"/counter.v1.Counter/Get": true}
//	conn, err := failover.NewClient("dns:///counter.example:7101", policy, grpc.WithTransportCredentials(creds))
//
// and give every call a deadline. Recommended waits for a replica instead of failing, limits how
// many attempts a crash can take with it, and bounds the repetitions. The zero Policy tries each
// replica once and does not wait.
//
// Use this package where a service has several replicas of which any can answer. It is of no help
// where a request belongs to one replica, such as a shard, and it does not replace a load balancer
// in front of servers that it cannot address one by one.
//
// # What may be repeated
//
// A request that was sent may have been executed, whatever became of the reply. An attempt is
// therefore repeated only if the replica has not processed it or the method is idempotent. The
// first is known when no byte of it was sent, when the replica refused the stream (REFUSED_STREAM)
// or excluded it in a GOAWAY, or when the server says so as Policy.NotExecuted describes. Which
// methods are idempotent is stated by Policy.Idempotent, or by the idempotency_level in the
// method's proto. Few protos have one: an Error with ReasonAmbiguous is the sign that it is
// missing.
//
// # Streams
//
// A call whose replies are a stream goes on to another replica until the first message has arrived
// or the caller has asked for the header. It counts as an attempt in flight until then. The
// messages of a caller who streams are kept up to Policy.ReplayLimit, so that another replica can
// be sent them; a caller who sends more is committed to the replica at hand.
//
// # Connections
//
// The client keeps one connection to each replica. A call never waits for a replica's connection
// while another replica is ready.
//
// A replica that is down is dialed every 25 ms, give or take 5, as long as calls are made and for a
// second after, so that it is in use again as soon as it listens. Replicas that are down share 100
// dials a second. Connect, called on the connection, counts as a call here. Without calls, or if a
// dial fails for a reason that lasts, such as a certificate, the gaps grow as gRPC's backoff does.
// Policy.Redial sets the bounds. Before gRPC dials a replica that was down, a plain connect finds
// out whether it is there: its server sees one connection that is closed at once.
//
// The resolver is asked again when a replica is lost, once a second while one is down, and every
// Policy.ResolveEvery. The dns resolver looks no more often than every 30 s, unless the program has
// called dns.SetMinResolutionInterval at its start.
//
// A call for which the resolver has not found replicas yet waits for it. If the resolver has
// failed, the call fails, unless it waits under WhenDownWait, which the call option
// grpc.WaitForReady(true) selects as well. The error of a call that found no replica to try has the
// last error of each replica's dials, or the resolver's, for errors.Is and errors.As.
//
// # Coming from retryPolicy
//
// gRPC's own retryPolicy, in a service config, repeats a call through the load-balancing policy's
// next pick, which may be the replica that just failed. The settings correspond as follows.
//
//	maxAttempts                         Rounds × the number of replicas
//	initialBackoff, backoffMultiplier   Pause, PauseGrowth: between rounds; the next replica is tried at once
//	retryableStatusCodes                Retryable, and Idempotent for the methods that may be repeated
//	retryThrottling                     Budget
//	timeout                             the call's deadline, as before; Timeout bounds an attempt
//	hedgingPolicy                       Hedge
//	waitForReady                        WhenDownWait, or the call option WaitForReady
//	round_robin                         OrderRoundRobin
//	outlier detection (gRFC A50)        Ejection
//
// A retryPolicy in Policy.ServiceConfig has no effect.
//
// # Coming from go-grpc-middleware
//
// The retry interceptor of go-grpc-middleware repeats a call on the same connection. Remove it:
// behind a Client its attempts would multiply with those of the policy.
//
//	WithMax             Rounds
//	WithPerRetryTimeout Timeout
//	WithBackoff         Pause, PauseGrowth
//	WithCodes           Retryable. Its default includes ResourceExhausted; ours is Unavailable alone
//	WithOnRetryCallback OnAttempt
//
// # Coming from failsafe-go
//
// failsafe-go composes policies around a call. Remove them for calls on a Client: they see one
// call, not its attempts.
//
//	RetryPolicy         Rounds, Pause, PauseGrowth, Retryable, Idempotent
//	CircuitBreaker      Ejection: for each replica by itself, so that the others stay in use
//	Timeout             Timeout for an attempt, the context's deadline for the call
//	HedgePolicy         Hedge
//	Bulkhead            MaxInFlight, MaxWaiting, MaxWait
//	AdaptiveLimiter     AdaptiveLimit: learned from crashes, not from latency
package failover
