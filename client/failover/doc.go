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
// and give every call a deadline. Under Recommended, a call waits for a replica instead of failing,
// the number of attempts that a crash can take with it is limited, and repetitions are bounded. The
// zero Policy tries each replica once and does not wait.
//
// Use this package if any of several replicas of a service can answer a request. It does not help
// if a request belongs to one replica, such as a shard, and it does not replace a load balancer in
// front of servers that the client cannot address one by one.
//
// # What may be repeated
//
// A request that was sent may have been executed, even if no reply arrived. An attempt is therefore
// repeated only if the replica has not processed it or the method is idempotent. A request is known
// not to have been processed when no byte of it was sent, when the replica refused the stream
// (REFUSED_STREAM) or excluded it in a GOAWAY, or when the server says so as Policy.NotExecuted
// describes. Policy.Idempotent states which methods are idempotent; for the others, the
// idempotency_level in the method's proto decides. Few protos have one: an Error with
// ReasonAmbiguous suggests that it is missing.
//
// # Streams
//
// A server-streaming call fails over until the first message has arrived or the caller has asked
// for the header. Until then it counts as an attempt in flight. The messages that a
// client-streaming caller sends are kept up to Policy.ReplayLimit, so that they can be sent to
// another replica; a caller that sends more is committed to the current replica.
//
// # Connections
//
// The client keeps one connection to each replica. A call never waits for a replica's connection
// while another replica is ready.
//
// A replica that is down is dialed every 20 to 30 ms while calls are made and for a second
// afterwards, so that it is used again as soon as it listens. All replicas that are down share 100
// dials a second. Calling Connect on the connection has the same effect as a call. Without calls,
// or if a dial fails for a lasting reason such as a certificate, the gaps grow like gRPC's backoff.
// Policy.Redial sets the bounds. Before gRPC dials a replica that was down, a plain connect checks
// that something is listening; the server sees one connection that is closed at once.
//
// The resolver is asked again when a replica is lost, once a second while one is down, and every
// Policy.ResolveEvery. The dns resolver itself resolves at most every 30 s, unless the program
// calls dns.SetMinResolutionInterval when it starts.
//
// A call made before the resolver has found any replica waits for the resolver. If the resolver
// fails, so does the call, except under WhenDownWait, which the call option grpc.WaitForReady(true)
// also selects. The error of a call that found no replica to try wraps the last dial error of each
// replica, or the resolver's error, for errors.Is and errors.As. There is only the text of an error
// of gRPC's dns resolver, which reports no more, and of the first errors of a resolver that is
// passed with grpc.WithResolvers or used through DialOptions, until it has a result.
//
// # Migrating
//
// Remove other retries from calls on a Client: their attempts would multiply with those of the
// policy. This holds for the interceptors of go-grpc-middleware and the policies of failsafe-go; a
// retryPolicy in Policy.ServiceConfig has no effect. README.md, beside this file, maps the settings
// of all three to those of Policy.
package failover
