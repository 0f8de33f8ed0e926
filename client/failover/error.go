package failover

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrNoReplicas is wrapped by the error of a call that had no replica to try: the resolver failed, or found none.
var ErrNoReplicas = errors.New("no replicas")

// Error is the error of a call that failed. It tells all that was tried.
//
// Its status is that of the last attempt, so that status.Code and status.Details see what the replica said; where the
// caller's context ended the call, its code is DeadlineExceeded or Canceled. errors.Is finds ErrNoReplicas, the
// caller's context error (only if the caller's context it was), and the network error of a last attempt that was refused;
// those of earlier ones are in Attempts.
type Error struct {
	// Method is the full method name, such as "/counter.v1.Counter/Get".
	Method string
	// Attempts are all attempts of the call, in order. Empty when there was no replica to try, or no time to.
	Attempts []Attempt

	// cause is the last attempt's error, or what kept the call from another attempt.
	cause error
}

// Error returns one line that names every attempt.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed", strings.TrimPrefix(e.Method, "/"))
	if n := len(e.Attempts); n > 0 {
		fmt.Fprintf(&b, " after %s in %s", plural(n, "attempt"), plural(e.Attempts[n-1].Round, "round"))
	}
	for i, a := range e.Attempts {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + a.String())
	}
	fmt.Fprintf(&b, ": %s", status.Convert(e.cause).Message())
	return b.String()
}

// GRPCStatus returns the status that the call failed with, its message the line of Error.
func (e *Error) GRPCStatus() *status.Status {
	p := status.Convert(e.cause).Proto()
	p.Message = e.Error()
	return status.FromProto(p)
}

// Unwrap returns what ended the call: the last attempt's error, the caller's context error, or ErrNoReplicas.
func (e *Error) Unwrap() error { return e.cause }

// statusError is an error with a code of its own and a cause that errors.Is and errors.As can see.
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
