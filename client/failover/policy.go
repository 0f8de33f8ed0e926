package failover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Policy describes how a call fails over between replicas. The zero value tries every replica once,
// in the resolver's order, with only the caller's deadline. A Policy is a plain value that any
// number of clients may share. No duration in it may exceed MaxDuration.
type Policy struct {
	// Attempts.

	// Timeout is the deadline of one attempt. Zero means only the caller's deadline applies. For a
	// server-streaming call, Timeout bounds the wait for the first message; if the client streams,
	// it bounds opening the stream.
	//
	// If the caller has a deadline, the time that remains is shared evenly among the replicas not
	// yet tried in the round. An attempt that waits for a connection gets no more than its share.
	// An attempt at a connected replica is not cut off when its share is over, because the request
	// may be a heavy one. Instead, a second attempt may join it: if the call is unary, the method
	// is idempotent, at least 64 of its attempts have been timed, and 95% of its recent attempts
	// took less time. At most one call in ten is joined in this way, with bursts of up to ten.
	//
	// A timeout that ServiceConfig sets for the method also bounds an attempt, but if the replica
	// itself answers DeadlineExceeded first, that answer ends the call. Only the caller's deadline
	// bounds the wait for a resolver that has not found any replica yet.
	Timeout time.Duration

	// MinTimeout is the shortest time in which an attempt is worth making. No share is shorter, and
	// no attempt starts if less time is left until the caller's deadline. It may not exceed a
	// nonzero Timeout. Zero means that any time is enough, with one exception: while several calls
	// wait under WhenDownWait, a call with less time left than 95% of the method's recent attempts
	// took gives up its turn.
	MinTimeout time.Duration

	// Rounds is the maximum number of rounds of a call. A round tries each replica at most once.
	// Zero means 1.
	Rounds int

	// Pause is the wait between two rounds. Zero means none.
	Pause time.Duration

	// PauseGrowth makes successive pauses of a call longer. The zero value keeps them equal.
	PauseGrowth Growth

	// Order is the order in which a round tries equally ready replicas. Zero means OrderFirst.
	Order Order

	// Retryable lists the status codes after which a call goes on to the next replica, if the
	// method allows it. Empty means Unavailable only. A call whose attempt exceeded its own
	// deadline goes on regardless of the list. The list may not contain OK. Canceled and
	// DeadlineExceeded in it refer to answers of a replica while the caller is still waiting. An
	// error raised on the client side, such as a message that is too large, is never retried.
	Retryable []codes.Code

	// NotExecuted describes how a server, or a load shedder in front of it, signals that it has not
	// executed a request. The zero value means that it does not.
	NotExecuted NotExecuted

	// ReplayLimit is how many bytes of the messages that a caller streams are kept, so that they
	// can be sent to another replica until the first message arrives from the server. A call that
	// sends more no longer fails over. A message counts as its encoded size and 64 bytes more. One
	// that is not a protobuf message, as with a JSON codec, is never kept, because its size is
	// unknown: a call that sends one no longer fails over. Zero means 256 KiB; 1 keeps nothing.
	ReplayLimit int

	// Idempotent says which methods may be repeated, or hedged, even though an earlier attempt may
	// have been executed. A key is a full method name, "/counter.v1.Counter/Get", a service,
	// "/counter.v1.Counter/", or "/" for all methods; the longest matching key decides. If no key
	// matches, the idempotency_level in the method's descriptor decides, if the program links it
	// in; otherwise the method is not idempotent, and is repeated only if the replica cannot have
	// executed it.
	Idempotent map[string]bool

	// Methods overrides the policy for some methods. Its keys work like those of Idempotent.
	Methods map[string]MethodPolicy

	// Waiting.

	// WhenDown is what a call does if none of the replicas it may still try has a connection and
	// room for another attempt. Zero means WhenDownAttempt.
	WhenDown WhenDown

	// MaxWait is the total time that a call may wait for replicas under WhenDownWait; after that it
	// fails with ResourceExhausted. Zero means until the caller's deadline, or one minute if there
	// is none.
	MaxWait time.Duration

	// MaxWaiting is how many calls may wait at a time under WhenDownWait. If it is exceeded, the
	// newest waiter fails at once with ResourceExhausted. Zero means 1000.
	MaxWaiting int

	// Protection.

	// MaxInFlight is how many attempts may be in flight at one replica at a time. Under
	// WhenDownAttempt a call skips a full replica, and fails with ResourceExhausted if every
	// replica left to try is full; under WhenDownWait it waits. Zero means no limit.
	MaxInFlight int

	// AdaptiveLimit learns how many attempts to allow in flight at one replica from how often an
	// attempt ends in a crash, which takes all others with it: few if crashes are frequent, any
	// number if there are none. MaxInFlight, unless zero, remains the upper bound.
	AdaptiveLimit bool

	// Budget bounds the repetitions, so that an outage of all replicas does not multiply the load.
	// The zero value sets no bound.
	Budget Budget

	// Ejection ejects a replica that hangs or keeps failing. The zero value ejects it after 3 such
	// attempts in a row.
	Ejection Ejection

	// Hedging.

	// Hedge sends a slow call to a second replica. The zero value disables hedging.
	Hedge Hedge

	// Redial sets how often replicas are dialed. The zero value has usable defaults.
	Redial Redial

	// ResolveEvery is how often the resolver is asked again while nothing changes, so that added
	// replicas are found. It is also asked when a replica is lost, and once a second while one is
	// down. The dns resolver itself resolves at most every 30 s. Zero means 30 s; a negative value
	// disables the periodic request.
	ResolveEvery time.Duration

	// SameHost, unless nil, returns the host that an address belongs to, such as the address
	// without its port. Addresses of one host count as one replica, which is reached at any one of
	// them. Nil means that each address is a replica, unless the resolver puts several into one
	// endpoint.
	SameHost func(addr string) string

	// ServiceConfig is a gRPC service config in JSON, for per-method settings such as message
	// sizes. It may not choose a load-balancing policy, because this package is one. A retryPolicy
	// or healthCheckConfig in it has no effect. Empty means none. A service config from the
	// resolver is ignored.
	ServiceConfig string

	// Observation.

	// OnReplica, unless nil, is called whenever a replica is found, changes state or disappears:
	// one call at a time, in order. It must return promptly and must not use the connection.
	OnReplica func(ReplicaEvent)

	// OnAttempt, unless nil, is called at the end of every attempt, with the context of the call.
	// It may be called concurrently, and the call waits until it returns.
	OnAttempt func(ctx context.Context, method string, a Attempt)

	// OnCall, unless nil, is called at the end of every call, like OnAttempt.
	OnCall func(ctx context.Context, c Call)
}

// MaxDuration is the longest duration that a Policy may contain: a year. For a bound or a delay
// that should last forever, use the value that the field documents for it, or MaxDuration.
const MaxDuration = 365 * 24 * time.Hour

// Recommended returns the recommended policy: calls wait for a replica rather than fail, the number
// of attempts in flight at a replica adapts to its crashes, and an outage does not multiply the
// load. Give every call a deadline, and list in Idempotent the methods that may be repeated.
func Recommended() Policy {
	return Policy{
		Rounds: 3, Order: OrderLeastInFlight, WhenDown: WhenDownWait, AdaptiveLimit: true,
		Budget: Budget{Ratio: 0.2, PerSecond: 10, Burst: 100},
	}
}

// Growth makes pauses grow exponentially, with jitter, so that calls that failed together do not
// retry together.
type Growth struct {
	// Factor is the ratio of a pause to the previous one, such as 2. It must be 1 or more; zero
	// means 1.
	Factor float64
	// Max bounds a pause before jitter is applied. Zero means no bound.
	Max time.Duration
	// Jitter is the share by which a pause is lengthened or shortened at random, from 0 to 1.
	Jitter float64
}

// NotExecuted describes how a server signals that it has not executed a request. Such an answer is
// retried regardless of the method and of Policy.Retryable.
type NotExecuted struct {
	// Codes are status codes that the server sends only before doing any work, such as
	// ResourceExhausted from a load shedder.
	Codes []codes.Code
	// Trailer is the key of a trailer that the server sends with such a status. Neither its value
	// nor the status code matters. Empty means none.
	Trailer string
}

// matches reports whether an answer signals that the request was not executed.
func (n *NotExecuted) matches(w wire, err error) bool {
	return w.Answered && (slices.Contains(n.Codes, status.Code(err)) || n.Trailer != "" && len(w.trailer.Get(n.Trailer)) > 0)
}

// Order determines which of several equally ready replicas a round tries first.
type Order int

const (
	// OrderFirst starts every round at the resolver's first replica; the others are standbys.
	OrderFirst Order = iota
	// OrderRoundRobin starts each call at the replica after the one at which the previous call
	// started.
	OrderRoundRobin
	// OrderRandom picks a replica at random.
	OrderRandom
	// OrderLeastInFlight picks two at random and takes the one with fewer attempts in flight.
	OrderLeastInFlight
	// OrderSticky starts at the replica that last answered a call successfully, so it changes
	// replicas only when it must.
	OrderSticky
)

var orderNames = []string{
	OrderFirst: "first", OrderRoundRobin: "round-robin", OrderRandom: "random", OrderLeastInFlight: "least-in-flight", OrderSticky: "sticky",
}

// String returns the name, such as "round-robin".
func (o Order) String() string { return name(orderNames, o) }

// UnmarshalText parses a name returned by String. Any other text is an error.
func (o *Order) UnmarshalText(text []byte) error { return parseName(o, orderNames, text) }

// WhenDown is what a call does if no replica is available.
type WhenDown int

const (
	// WhenDownAttempt tries a replica that has no connection: it is dialed and usually refuses, and
	// the rounds continue.
	WhenDownAttempt WhenDown = iota
	// WhenDownWait waits until a replica is available. Waiters are served oldest first, and a new
	// call does not overtake them. Rounds is then how often a call may try each replica. If only a
	// replica that it has already tried is available, the call tries it again instead of waiting
	// for the others, once Pause has passed since its last attempt.
	WhenDownWait
)

var whenDownNames = []string{WhenDownAttempt: "attempt", WhenDownWait: "wait"}

func (w WhenDown) valid() bool { return w == WhenDownAttempt || w == WhenDownWait }

// String returns the name, "attempt" or "wait".
func (w WhenDown) String() string { return name(whenDownNames, w) }

// UnmarshalText parses a name returned by String. Any other text is an error.
func (w *WhenDown) UnmarshalText(text []byte) error { return parseName(w, whenDownNames, text) }

// Budget is a token bucket: each call adds a fraction of a token, and each repetition or hedge
// takes one. A call that finds no token for another attempt fails with its last error. It is
// modeled on Finagle's RetryBudget. The zero value sets no bound.
type Budget struct {
	// Ratio is how many tokens each call adds, such as 0.1 for one repetition in ten calls. It
	// ranges from 0 to 1, and is rounded to a multiple of 0.000001 that is zero only if Ratio is.
	Ratio float64
	// PerSecond is how many tokens each second adds, for clients that make few calls. It must be 0
	// or more.
	PerSecond float64
	// Burst is how many tokens the bucket holds; it starts full. Zero means 20.
	Burst int
}

func (b Budget) bounded() bool { return b != Budget{} }

// Ejection takes a replica out of use after a number of consecutive failures: attempts that it
// answered with a retryable status, that were lost with the connection, that it refused
// unprocessed, or that a hedge at another replica overtook. If no other replica is available,
// ejected replicas are still used.
//
// An attempt cut off by a deadline, its own or the caller's, is a censored observation: all that is
// known is that the answer would have taken longer. It is weighed by how unlikely that is for a
// healthy replica, given how long other replicas have taken since and how long recent attempts at
// the method took. An attempt that takes longer than 99 of 100 counts as one failure. If all
// replicas are slower than their callers' deadlines, none is ejected. When After consecutive
// attempts have been cut off, calls prefer other replicas until the comparison is decided. A call
// that its caller cancels is not counted.
//
// An ejected replica is probed with the standard health service, and put back when it is healthy. A
// probe is a call on the connection: it passes through the interceptors, which recognize it by
// IsProbe, with the context values and the metadata of the call that caused the ejection.
// NOT_SERVING, Unavailable, DeadlineExceeded and no answer mean that the replica is still
// unhealthy. A replica that answers anything else, or whose health service never reported a
// problem, is put on trial: it gets one call at a time, with a hedge for comparison, until one
// succeeds. If it fails again before that, it is ejected at once, and the delay before its first
// probe doubles each time, up to 64 times Probe. Whatever the probes find, a call is let through
// after 20 times Probe; this delay doubles likewise, up to 64 times its initial value.
//
// A probe without an answer may mean that the connection is dead and the replica is not, as after a
// network partition, or when a host has been replaced: TCP notices that only minutes later. So the
// client makes a second connection beside it, at most once a minute, and changes over to it.
type Ejection struct {
	// Off disables ejection.
	Off bool
	// After is the number of consecutive failures, 1 or more. In the zero Ejection it is 3.
	After int
	// Probe is the time between two probes, and the deadline of each. Zero means 500 ms.
	Probe time.Duration
	// Service is the service name in health checks. Empty means the server as a whole.
	Service string
	// MaxShare bounds the share of connected replicas that are ejected at a time, so that the rest
	// can carry the load. It ranges from 0 to 1; the resulting number of replicas is rounded down,
	// but if there are several, one may always be ejected. Zero means two thirds. Once the bound is
	// reached, calls merely prefer other replicas to one that should be ejected.
	MaxShare float64
}

// Hedge sends a second attempt of a call to another replica while the first is still in flight. The
// first success, or status that is not retried, wins, and the other attempt is canceled. Only
// idempotent methods are hedged, only at a replica that is ready and has room, and only within
// Budget. Streams are not hedged. The zero value disables hedging.
type Hedge struct {
	// After is how long a call waits for its first replica before it is hedged. Zero means never,
	// unless Quantile is set.
	After time.Duration
	// Quantile, such as 0.95, hedges calls that take longer than that share of the method's recent
	// successful attempts did. It replaces After once 64 of those have been timed. It is at least 0
	// and below 1; zero means that only After counts.
	Quantile float64
	// Share is how many hedges each call allows, in addition to the bound that Budget sets. 0.02, a
	// good initial value, adds at most 2% load, with bursts of up to 5 hedges. Hedges that judge a
	// replica on trial after an ejection do not count. It ranges from 0, which allows only those,
	// to 1, and is rounded like Budget.Ratio.
	Share float64
}

// Redial sets how often replicas are dialed. A replica whose connection is lost is dialed again at
// once, unless it was last dialed less than Every ago, or less than 1 s ago if Every is longer.
// While it stays down and calls are made, it is dialed often, so that it is used as soon as it is
// back; without calls, the gaps grow from 1 s to 2 minutes, as in gRPC's connection backoff. If a
// dial fails for a lasting reason, such as a certificate or a name that does not exist, the gaps
// grow from 1 s to 30 s even while calls are made.
type Redial struct {
	// Every is the mean time between two dials of a replica that is down while calls are made, with
	// a jitter of 20%. Zero means 25 ms, that is 33 to 50 dials a second; the minimum is 1 ms. Gaps
	// are longer if PerSecond requires it, and after long unsuccessful dialing: 1/4000 of the time
	// spent so far, up to 5 s.
	Every time.Duration
	// Linger is how long after the last call replicas are still dialed this often. Zero means 1 s;
	// MaxDuration is as good as always.
	Linger time.Duration
	// PerSecond is how many dials may be made in any second, at all replicas together; each address
	// of a replica takes one. The first dial of a replica does not count if it succeeds. Zero means
	// 100.
	PerSecond int
	// Timeout bounds a dial, including the handshake. Zero means 5 s.
	Timeout time.Duration
}

// parseName sets v to the constant of that name.
func parseName[T ~int](v *T, names []string, text []byte) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		last := len(names) - 1
		return fmt.Errorf("%q: want %s or %s", text, strings.Join(names[:last], ", "), names[last])
	}
	*v = T(i)
	return nil
}

func (p *Policy) retryable(c codes.Code) bool {
	if len(p.Retryable) == 0 {
		return c == codes.Unavailable
	}
	return slices.Contains(p.Retryable, c)
}
