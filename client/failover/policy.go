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
// in the resolver's order, with no deadline but the caller's. A Policy is a plain value; any number
// of clients may share it.
type Policy struct {
	// Attempts.

	// Timeout is the deadline of one attempt. Zero means only the caller's deadline applies. For a
	// server-streaming call, Timeout bounds the wait for the first message; if the client streams,
	// it bounds opening the stream.
	//
	// If the caller has a deadline, the time that remains is shared evenly among the replicas not
	// yet tried in the round. An attempt that waits for a connection gets no more than its share.
	// One at a replica that is connected is not cut off by it, as the request may be a heavy one:
	// if the method is idempotent, and once 64 of its attempts have shown how long it takes,
	// another attempt joins the first when the share is over and 95% of the attempts have lately
	// taken less. At most one call in ten, and ten at once, is joined in this way. Unary calls
	// alone are.
	//
	// A timeout that ServiceConfig gives the method bounds an attempt as well, but where the
	// replica is quicker to say DeadlineExceeded than we are, that is its answer and ends the call.
	// Neither bounds the wait for a resolver that has not found the replicas yet: only the caller's
	// deadline does.
	Timeout time.Duration

	// MinTimeout is the shortest time in which an attempt is worth making. No share is less, and no
	// attempt starts when less is left until the caller's deadline. It may not exceed a Timeout.
	// Zero means that any time is enough; only where calls wait for each other, under WhenDownWait,
	// one that has less left than 95% of the method's attempts took lately makes way.
	MinTimeout time.Duration

	// Rounds is the maximum number of rounds of a call. A round tries each replica at most once.
	// Zero means 1.
	Rounds int

	// Pause is the wait between two rounds. Zero means none.
	Pause time.Duration

	// PauseGrowth makes successive pauses of a call longer. The zero value keeps them equal.
	PauseGrowth Growth

	// Order is the order in which a round tries the replicas that are equally ready. Zero means
	// OrderFirst.
	Order Order

	// Retryable are the status codes after which a call goes on to the next replica, where the
	// method allows it. Empty means Unavailable alone. A call whose attempt exceeded its deadline
	// goes on regardless of the list. The list may not contain OK. Canceled and DeadlineExceeded in
	// it are those of a replica while the caller still waits. An error raised on the client side,
	// such as a message that is too large, is never retried.
	Retryable []codes.Code

	// NotExecuted is how a server, or a load shedder in front of it, says that it has not executed
	// a request. The zero value means that it cannot.
	NotExecuted NotExecuted

	// ReplayLimit is how many bytes of the messages that a caller streams are kept, so that another
	// replica can be sent them if the first answers with no message. A call that sends more no
	// longer fails over. Zero means 256 KiB; with 1 none are kept.
	ReplayLimit int

	// Idempotent says which methods may be repeated, or hedged, though an earlier attempt may have
	// been executed. The key is a full method name, "/counter.v1.Counter/Get", or a service's,
	// "/counter.v1.Counter/", or "/" for all; the longest that fits decides. For a method that no
	// key fits, the idempotency_level of its descriptor decides, where the program has it linked
	// in, and without one it is not idempotent: it is repeated only when no byte of it was sent.
	Idempotent map[string]bool

	// Methods overrides the policy for some methods. The keys are as those of Idempotent: the
	// longest that fits decides.
	Methods map[string]MethodPolicy

	// Waiting.

	// WhenDown is what a call does when none of the replicas it may still try has a connection and
	// room for it. Zero means WhenDownAttempt.
	WhenDown WhenDown

	// MaxWait is how long a call may wait for replicas in all, under WhenDownWait; then it fails
	// with ResourceExhausted. Zero means until the caller's deadline, and one minute for a call
	// that has none.
	MaxWait time.Duration

	// MaxWaiting is how many calls may wait at a time, under WhenDownWait. When this is exceeded,
	// the newest waiter fails at once with ResourceExhausted. Zero means 1000.
	MaxWaiting int

	// Protection.

	// MaxInFlight is how many attempts may be in flight at one replica at a time. Under
	// WhenDownAttempt a call skips a replica that is full, and fails with ResourceExhausted if it
	// could try none; under WhenDownWait it waits. Zero means no limit.
	MaxInFlight int

	// AdaptiveLimit learns how many attempts to have in flight at a replica from how often one ends
	// in a crash, which takes all the others with it: few where crashes are frequent, any number
	// where there are none. MaxInFlight, unless zero, stays the upper bound.
	AdaptiveLimit bool

	// Budget bounds the repetitions, so that an outage of all replicas is not answered with a
	// multiple of the load. The zero value sets no bound.
	Budget Budget

	// Ejection ejects a replica that hangs or keeps failing. The zero value ejects it after 3 such
	// attempts in a row.
	Ejection Ejection

	// Hedging.

	// Hedge sends a slow call to a second replica. The zero value disables hedging.
	Hedge Hedge

	// Redial is how replicas are dialed.
	Redial Redial

	// ResolveEvery is how often the resolver is asked for its replicas again while nothing happens,
	// so that replicas that are added are found. It is also asked when a replica is lost, and once
	// a second while one is down. The dns resolver itself looks no more often than every 30 s. Zero
	// means 30 s; a negative value means not to ask without a cause.
	ResolveEvery time.Duration

	// SameHost, unless nil, returns the host that an address belongs to, such as its name without
	// the port. Addresses of one host count as one replica, which is reached at one of them. Nil
	// means that each is a replica, unless the resolver puts several into one endpoint.
	SameHost func(addr string) string

	// ServiceConfig is a gRPC service config in JSON, for the methods' own settings such as message
	// sizes. It may not choose a load-balancing policy, because this package is one; a retryPolicy
	// or healthCheckConfig in it has no effect. Empty means none. A service config from the
	// resolver is ignored.
	ServiceConfig string

	// Observation.

	// OnReplica, unless nil, is called whenever a replica is found, changes state or disappears:
	// one call at a time, in order. It must return at once and must not use the connection.
	OnReplica func(ReplicaEvent)

	// OnAttempt, unless nil, is called at the end of every attempt, with the context of the call.
	// It may be called by several goroutines at a time, and delays the call.
	OnAttempt func(ctx context.Context, method string, a Attempt)

	// OnCall, unless nil, is called at the end of every call, as OnAttempt is.
	OnCall func(ctx context.Context, c Call)
}

// Recommended returns the recommended settings: calls wait for a replica rather than fail, no more
// attempts are in flight at a replica than its crashes allow, and an outage is not answered with a
// multiple of the load. Give the calls deadlines, and say in Idempotent which methods may be
// repeated.
func Recommended() Policy {
	return Policy{
		Rounds: 3, Order: OrderLeastInFlight, WhenDown: WhenDownWait, AdaptiveLimit: true,
		Budget: Budget{Ratio: 0.2, PerSecond: 10, Burst: 100},
	}
}

// Growth makes pauses grow exponentially, with jitter, so that calls that failed together do not
// retry together.
type Growth struct {
	// Factor is the ratio of a pause to the previous one, such as 2. It is 1 or more; zero means 1.
	Factor float64
	// Max bounds a pause, before the jitter. Zero means no bound.
	Max time.Duration
	// Jitter is the share of a pause by which it is lengthened or shortened at random, such as 0.2.
	// From 0 to 1.
	Jitter float64
}

// NotExecuted is a server's way to say that it has not executed a request. Such an answer is
// retried regardless of the method and of Policy.Retryable.
type NotExecuted struct {
	// Codes are status codes that the server sends only before it has done any work, such as
	// ResourceExhausted from a load shedder.
	Codes []codes.Code
	// Trailer is the key of a trailer that the server sends with a status to say so, whatever its
	// value and the status. Empty means none.
	Trailer string
}

// says reports whether an answer says that the request was not executed.
func (n *NotExecuted) says(w wire, err error) bool {
	return w.Answered && (slices.Contains(n.Codes, status.Code(err)) || n.Trailer != "" && len(w.trailer.Get(n.Trailer)) > 0)
}

// Order is a start order: which replica a round tries first among those that are equally ready.
type Order int

const (
	// OrderFirst starts every round at the resolver's first replica, so that the others stand by.
	OrderFirst Order = iota
	// OrderRoundRobin starts each call one replica further than the call before it.
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

// String returns the order's name as flags and files spell it.
func (o Order) String() string { return name(orderNames, o) }

// UnmarshalText sets the order to the one of that name. Any other is an error.
func (o *Order) UnmarshalText(text []byte) error { return parseName(o, orderNames, text) }

// WhenDown is what a call does when no replica is available to it.
type WhenDown int

const (
	// WhenDownAttempt tries a replica that has no connection: it is dialed, and usually refuses;
	// then the rounds continue.
	WhenDownAttempt WhenDown = iota
	// WhenDownWait waits until one is available. Waiters are served oldest first, and a new call
	// does not overtake them. Rounds is then how often a call may try each replica; a call returns
	// to one that it has tried, after Pause, before it waits for the others.
	WhenDownWait
)

var whenDownNames = []string{WhenDownAttempt: "attempt", WhenDownWait: "wait"}

func (w WhenDown) valid() bool { return w == WhenDownAttempt || w == WhenDownWait }

// String returns the name as flags and files spell it.
func (w WhenDown) String() string { return name(whenDownNames, w) }

// UnmarshalText sets the value to the one of that name. Any other is an error.
func (w *WhenDown) UnmarshalText(text []byte) error { return parseName(w, whenDownNames, text) }

// Budget is a token bucket that each call fills a little and each repetition or hedge takes one
// token from. A call without a token for another attempt fails with the error it has. The model is
// Finagle's RetryBudget.
type Budget struct {
	// Ratio is how many repetitions each call adds, such as 0.1 for one in ten calls. From 0 to 1.
	Ratio float64
	// PerSecond is how many repetitions each second adds, for connections that make few calls. 0 or
	// more.
	PerSecond float64
	// Burst is how many repetitions the bucket holds; it starts full. Zero means 20.
	Burst int
}

func (b Budget) bounded() bool { return b != Budget{} }

// Ejection takes a replica out of use after a number of failures in a row: attempts that it
// answered with a retryable status, that were lost with the connection, that it gave back
// unprocessed, or that a hedge at another replica overtook. If no other replica is available,
// ejected replicas are used all the same.
//
// An attempt cut off by a deadline, its own or the caller's, is a censored observation: the answer
// would have taken longer, and nothing else is known. It is weighed by how unlikely it is for a
// healthy replica, given what other replicas have answered since and what recent attempts at the
// method have taken. An attempt that takes longer than 99 of 100 weighs as much as a failure.
// Replicas that are all slower than their callers' deadlines are not ejected. After so many cut-off
// attempts in a row that failures would have ejected the replica, calls go to other replicas, if
// they can, until the comparison has a result. A call that its caller cancels proves nothing.
//
// An ejected replica is probed with the standard health service, and put back when it is healthy. A
// probe is a call on the connection: it passes through the interceptors, with the context values
// and the metadata of the call that caused the ejection. NOT_SERVING, Unavailable, DeadlineExceeded
// and silence mean that the replica is still unhealthy. A replica that answers anything else, or
// reported no problem in the first place, gets one call at a time, with a hedge for comparison,
// until one succeeds. A replica that fails again without a success in between is ejected at once,
// and the delay before its first probe doubles each time, up to 64 times Probe. Whatever the probes
// find, a call is let through after 20 times Probe, and after twice as long each time, up to 64
// times that.
type Ejection struct {
	// Off ejects no replica.
	Off bool
	// After is the number of failures in a row, from 1. The zero Ejection has 3.
	After int
	// Probe is the time between two probes, and the deadline of each. Zero means 500 ms.
	Probe time.Duration
	// Service is the name that probes ask the health service about. Empty means the server as a
	// whole.
	Service string
	// MaxShare bounds the share of connected replicas that are ejected at a time, so that the
	// others can carry the load. It ranges from 0 to 1; the number of replicas is rounded down, but
	// one of several may always be ejected. Zero means two thirds. If no more may be ejected, calls
	// prefer other replicas.
	MaxShare float64
}

func (e *Ejection) validate() error {
	switch {
	case *e != Ejection{} && !e.Off && e.After < 1:
		return fmt.Errorf("Ejection.After %d: want 1 or more, or Off", e.After)
	case e.Probe < 0:
		return fmt.Errorf("Ejection.Probe %v: want 0 or more", e.Probe)
	case !(e.MaxShare >= 0 && e.MaxShare <= 1):
		return fmt.Errorf("Ejection.MaxShare %v: want 0 to 1", e.MaxShare)
	}
	return nil
}

// Hedge sends a second attempt of a call to another replica while the first is still in flight; the
// first success, or status that is not retried, wins and the other is canceled. Only methods that
// are idempotent are hedged, only at a replica that is ready and has room, and only within Budget.
// Streams are not hedged.
type Hedge struct {
	// After is how long a call waits for its first replica before it is hedged. Zero means never,
	// unless Quantile is set.
	After time.Duration
	// Quantile, such as 0.95, hedges calls that take longer than that share of the method's
	// successful attempts did lately. It replaces After once 64 of those are known. From 0, which
	// means that only After counts, to below 1.
	Quantile float64
	// Share is how many hedges each call allows, beside Budget: 0.02, a good initial value, adds a
	// load of 2% at most, and a burst of 5. Hedges that judge a replica on trial after an ejection
	// do not count. From 0, which allows those alone, to 1.
	Share float64
}

func (h *Hedge) validate() error {
	switch {
	case h.After < 0:
		return fmt.Errorf("Hedge.After %v: want 0 or more", h.After)
	case !(h.Quantile >= 0 && h.Quantile < 1):
		return fmt.Errorf("Hedge.Quantile %v: want 0 to below 1", h.Quantile)
	case !(h.Share >= 0 && h.Share <= 1):
		return fmt.Errorf("Hedge.Share %v: want 0 to 1", h.Share)
	}
	return nil
}

// Redial is how replicas are dialed. One whose connection is lost is dialed again at once. While it
// stays down and calls want it, it is dialed so often that it is in use as soon as it is back;
// while none does, in gaps that grow from 1 s to 2 minutes, as of gRPC's connection backoff. Where
// a dial fails for a reason that lasts, such as a certificate or a name that does not exist, the
// gaps grow from 1 s to 30 s with calls too.
type Redial struct {
	// Every is the mean time between two dials of a replica that calls want, jittered by a fifth.
	// Zero means 25 ms, which makes 33 to 50 dials a second; the least is 1 ms. Gaps are longer
	// where PerSecond does not allow for all that are down, and after minutes of dialing in vain,
	// by 1/4000 of that time up to 5 s.
	Every time.Duration
	// Linger is how long a call's wish for a replica is remembered. Zero means 1 s.
	Linger time.Duration
	// PerSecond is how many dials all replicas together may take in any second; each address of a
	// replica takes one. The first dial of a replica does not count where it succeeds. Zero means
	// 100.
	PerSecond int
	// Timeout is how long a dial may take until the connection is ready for calls, its handshake
	// included. Zero means 5 s.
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
