package failover

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Attempt is one try of a call at one replica, after its end.
type Attempt struct {
	// Replica is the address of the replica, as the resolver gave it.
	Replica string
	// Number counts the call's attempts in the order in which they began, from 1. A number is
	// missing if its attempt turned out not to have been made when another one had joined it.
	Number int
	// Round is the pass through the replicas that the attempt belongs to, from 1. Under
	// WhenDownWait it is how often the call has tried this replica.
	Round int
	// Hedge is true for an attempt that joined another one that was on its way.
	Hedge bool
	// Start is when the attempt began.
	Start time.Time
	// Duration is how long it took, the wait for a connection included.
	Duration time.Duration
	// Outcome is how it ended.
	Outcome Outcome
	// Sent is false when no byte of the request can have reached the replica, so that a repetition
	// is safe whatever the method does. True is the cautious answer: the request may or may not
	// have been executed.
	Sent bool
	// Err is the attempt's own gRPC status error; nil when the outcome is OK.
	Err error
}

// Code returns the gRPC status code that the attempt ended with.
func (a Attempt) Code() codes.Code { return status.Code(a.Err) }

// String returns the attempt in a few words, such as "127.0.0.1:7101 lost (sent, 12ms)".
func (a Attempt) String() string {
	sent := "unsent"
	if a.Sent {
		sent = "sent"
	}
	if a.Hedge {
		sent = "hedge, " + sent
	}
	return fmt.Sprintf("%s %v (%s, %v)", a.Replica, a.Outcome, sent, a.Duration.Round(10*time.Microsecond))
}

// Outcome is how an attempt ended.
type Outcome int

const (
	// OutcomeOK: the replica answered, and its status was OutcomeOK.
	OutcomeOK Outcome = iota
	// OutcomeRefused: never sent, mostly because there was no connection to the replica.
	OutcomeRefused
	// OutcomeLost: sent, then the connection broke before the replica answered.
	OutcomeLost
	// OutcomeFailed: the replica answered with a status that is retried. An answer that broke off
	// after its header counts too.
	OutcomeFailed
	// OutcomeTimeout: the attempt's own deadline passed, the caller's did not.
	OutcomeTimeout
	// OutcomeRejected: a status that is not retried. It ends the call.
	OutcomeRejected
	// OutcomeCanceled: the caller's deadline passed, or the caller gave the call up, which ends the
	// call; or another attempt of a hedged call has succeeded.
	OutcomeCanceled
)

// Outcomes returns all outcomes, in the order of their constants.
func Outcomes() []Outcome {
	return []Outcome{OutcomeOK, OutcomeRefused, OutcomeLost, OutcomeFailed, OutcomeTimeout, OutcomeRejected, OutcomeCanceled}
}

var outcomeNames = [...]string{
	OutcomeOK: "ok", OutcomeRefused: "refused", OutcomeLost: "lost", OutcomeFailed: "failed",
	OutcomeTimeout: "timeout", OutcomeRejected: "rejected", OutcomeCanceled: "canceled",
}

// String returns the outcome's name, in lower case.
func (o Outcome) String() string { return name(outcomeNames[:], o) }

// MarshalText returns the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText sets the outcome to the one of that name. Any other is an error.
func (o *Outcome) UnmarshalText(text []byte) error { return parseName(o, outcomeNames[:], text) }

// Call is one call, after its end.
type Call struct {
	// Method is the full method name, such as "/counter.v1.Counter/Get".
	Method string
	// Start is when the call began, Duration how long it took, all its attempts and waits included.
	// A server-streaming call ends, in this, with its first message.
	Start    time.Time
	Duration time.Duration
	// Waited is how much of it was spent waiting for a replica to become available.
	Waited time.Duration
	// Attempts are all attempts of the call, in order.
	Attempts []Attempt
	// Err is nil when the call succeeded, else an *Error.
	Err error
}
