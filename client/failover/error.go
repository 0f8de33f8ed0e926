package failover

import (
	"errors"
	"fmt"
	"strings"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrNoReplicas is wrapped by the error of a call that had no replica to try because the resolver
// failed or found none.
var ErrNoReplicas = errors.New("no replicas")

// Error is the error of a call that failed. It lists every attempt.
//
// Its status is that of the last attempt, so status.Code and status.Convert return what the replica
// sent. If the caller's context ended the call, the code is DeadlineExceeded or Canceled; if the
// call was shed, ResourceExhausted. errors.Is finds ErrNoReplicas, the caller's context error (only
// if that context ended the call), and the network error of the last attempt if it was refused. The
// errors of earlier attempts are in Attempts.
type Error struct {
	// Method is the full method name, such as "/counter.v1.Counter/Get".
	Method string
	// Attempts lists the attempts of the call, in order. It is empty if there was no replica to
	// try, or no time to try one.
	Attempts []Attempt
	// Reason is why the call made no further attempt.
	Reason Reason

	// cause is the last attempt's error, or what prevented another attempt.
	cause    error
	answered bool // cause is an answer of the replica
}

// Reason is why a call gave up.
type Reason int

const (
	// ReasonRoundsSpent: every replica was tried in every round.
	ReasonRoundsSpent Reason = iota
	// ReasonNotRetryable: the last attempt was rejected.
	ReasonNotRetryable
	// ReasonAmbiguous: the last attempt may have been executed, and the method is not idempotent.
	ReasonAmbiguous
	// ReasonOutOfTime: too little time was left until the caller's deadline for another attempt, or
	// for the pause before it.
	ReasonOutOfTime
	// ReasonPushedBack: the replica asked, in grpc-retry-pushback-ms or a RetryInfo, not to repeat
	// the call, or to wait longer than the deadline allows.
	ReasonPushedBack
	// ReasonBudgetSpent: Policy.Budget had no token left.
	ReasonBudgetSpent
	// ReasonShed: no replica had room, too many calls were waiting, or this call waited for longer
	// than Policy.MaxWait.
	ReasonShed
	// ReasonCallerEnded: the caller's deadline passed, or the caller canceled the call.
	ReasonCallerEnded
	// ReasonNoReplica: there was no replica, or the connection was closed.
	ReasonNoReplica
	// ReasonInvalid: a call option is out of range.
	ReasonInvalid
)

var reasonNames = [...]string{
	ReasonRoundsSpent: "rounds spent", ReasonNotRetryable: "not retryable", ReasonAmbiguous: "it may have been executed and is not idempotent",
	ReasonOutOfTime: "too little time left", ReasonPushedBack: "the replica pushed back", ReasonBudgetSpent: "retry budget spent",
	ReasonShed: "shed", ReasonCallerEnded: "the caller's context ended", ReasonNoReplica: "no replica to try",
	ReasonInvalid: "invalid option",
}

// Reasons returns all reasons, in the order of their constants.
func Reasons() []Reason {
	all := make([]Reason, len(reasonNames))
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// String returns a short phrase, such as "retry budget spent".
func (r Reason) String() string { return name(reasonNames[:], r) }

// publicReason maps the reasons of package core.
var publicReason = [...]Reason{
	core.ReasonSpent: ReasonRoundsSpent, core.ReasonFinal: ReasonNotRetryable, core.ReasonAmbiguous: ReasonAmbiguous, core.ReasonNoTime: ReasonOutOfTime,
	core.ReasonPushedBack: ReasonPushedBack, core.ReasonFull: ReasonShed, core.ReasonCallerEnded: ReasonCallerEnded, core.ReasonNoReplica: ReasonNoReplica,
	core.ReasonBudgetSpent: ReasonBudgetSpent, core.ReasonWaitedTooLong: ReasonShed, core.ReasonCrowded: ReasonShed,
}

// Error returns one line that lists every attempt.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed", strings.TrimPrefix(e.Method, "/"))
	if n := len(e.Attempts); n > 0 {
		fmt.Fprintf(&b, " after %s in %s", plural(n, "attempt"), plural(rounds(e.Attempts), "round"))
	}
	for i, a := range e.Attempts {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + a.String())
	}
	switch e.Reason {
	case ReasonAmbiguous, ReasonOutOfTime, ReasonPushedBack, ReasonBudgetSpent, ReasonShed:
		fmt.Fprintf(&b, ": %v", e.Reason)
	}
	fmt.Fprintf(&b, ": %s", status.Convert(e.cause).Message())
	if h, ok := e.cause.(*unreachableError); ok {
		b.WriteString("; " + h.text())
	}
	return b.String()
}

func rounds(attempts []Attempt) int {
	n := 0
	for _, a := range attempts {
		n = max(n, a.Round)
	}
	return n
}

// GRPCStatus returns the status of the call. If a replica answered, its message and details are the
// replica's. Otherwise the message contains no address, so that a server can pass the status on to
// its own clients; Error has the network's error text.
func (e *Error) GRPCStatus() *status.Status {
	st := status.Convert(e.cause)
	n := len(e.Attempts)
	p := st.Proto()
	switch {
	case e.answered:
		return st
	case errors.Is(e.cause, ErrNoReplicas):
		p.Message = ErrNoReplicas.Error()
	case n > 0 && e.cause == e.Attempts[n-1].Err:
		p.Message = fmt.Sprintf("%v after %s, the last one %v", e.Reason, plural(n, "attempt"), e.Attempts[n-1].Outcome)
	}
	return status.FromProto(p)
}

// Unwrap returns the error that ended the call, which wraps the last attempt's error, the caller's
// context error or ErrNoReplicas.
func (e *Error) Unwrap() error { return e.cause }

// statusError gives a gRPC code to an error that errors.Is and errors.As can still find.
type statusError struct {
	code  codes.Code
	cause error
}

func (e *statusError) Error() string              { return e.cause.Error() }
func (e *statusError) Unwrap() error              { return e.cause }
func (e *statusError) GRPCStatus() *status.Status { return status.New(e.code, e.cause.Error()) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
