package failover

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Attempt describes one try of a call at one replica, after it has ended.
type Attempt struct {
	// Replica is the address of the replica, as the resolver returned it.
	Replica string
	// Number numbers the call's attempts from 1, in the order in which they began. There is a gap
	// if an attempt turned out not to have been made after another had joined it.
	Number int
	// Round is the round of the attempt, from 1. Under WhenDownWait it is how often the call has
	// tried this replica.
	Round int
	// Hedge is true for an attempt that joined another attempt in flight.
	Hedge bool
	// Start is when the attempt began.
	Start time.Time
	// Duration is how long it took, including the wait for a connection.
	Duration time.Duration
	// Outcome is how it ended.
	Outcome Outcome
	// Sent is false only if no byte of the request can have reached the replica, so that a
	// repetition is safe for any method. If true, the request may or may not have been executed.
	Sent bool
	// Err is the attempt's own gRPC status error, or nil if the outcome is OutcomeOK.
	Err error
}

// Code returns the gRPC status code of the attempt.
func (a Attempt) Code() codes.Code { return status.Code(a.Err) }

// String returns a short description, such as "127.0.0.1:7101 lost (sent, 12ms)".
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
	// OutcomeOK: the replica answered with status OK.
	OutcomeOK Outcome = iota
	// OutcomeRefused: the request was not sent, usually because there was no connection, or the
	// replica refused it unprocessed.
	OutcomeRefused
	// OutcomeLost: the request was sent, then the connection broke before the replica answered.
	OutcomeLost
	// OutcomeFailed: the replica answered with a status that is retried. An answer that broke off
	// after its header also counts.
	OutcomeFailed
	// OutcomeTimeout: the attempt's own deadline passed, but not the caller's.
	OutcomeTimeout
	// OutcomeRejected: the attempt ended with a status that is not retried. It ends the call.
	OutcomeRejected
	// OutcomeCanceled: the caller's deadline passed or the caller canceled the call, which ends the
	// call; or another attempt of a hedged call won.
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

// String returns the name in lower case, such as "ok".
func (o Outcome) String() string { return name(outcomeNames[:], o) }

// MarshalText returns the name, like String.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText parses a name returned by String. Any other text is an error.
func (o *Outcome) UnmarshalText(text []byte) error { return parseName(o, outcomeNames[:], text) }

// Call describes one call, after it has ended.
type Call struct {
	// Method is the full method name, such as "/counter.v1.Counter/Get".
	Method string
	// Start is when the call began, and Duration how long it took, including all attempts and
	// waits. Here a server-streaming call ends with its first message.
	Start    time.Time
	Duration time.Duration
	// Waited is the part of Duration spent waiting for a replica to become available.
	Waited time.Duration
	// Attempts are all attempts of the call, in order.
	Attempts []Attempt
	// Err is nil if the call succeeded, and an *Error otherwise.
	Err error
}
