package failover

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/status"
)

// maxCauses is how many unreachable replicas the text of an error names.
const maxCauses = 4

// unreachableError is the error of a call that found no replica to try, with the cause for each
// replica.
type unreachableError struct {
	error  // that ended the call
	causes []cause
}

// cause is why a replica had no connection, or why there was no replica.
type cause struct {
	replica string // empty for the resolver's error
	err     error
}

func (c cause) String() string {
	if c.replica == "" {
		return c.err.Error()
	}
	return c.replica + ": " + c.err.Error()
}

// GRPCStatus returns the status of the error that ended the call. It contains no address.
func (e *unreachableError) GRPCStatus() *status.Status { return status.Convert(e.error) }

// Unwrap returns the error that ended the call, and those of the dials.
func (e *unreachableError) Unwrap() []error {
	all := []error{e.error}
	for _, c := range e.causes {
		all = append(all, c.err)
	}
	return all
}

// text returns the causes in one line.
func (e *unreachableError) text() string {
	var all []string
	for i, c := range e.causes {
		if i == maxCauses {
			all = append(all, fmt.Sprintf("and %d more", len(e.causes)-i))
			break
		}
		all = append(all, c.String())
	}
	return strings.Join(all, "; ")
}

// withCauses adds the root causes to a failure if the call had no replica to try.
func (c *call) withCauses(f *failure) *failure {
	n := len(c.attempts)
	switch f.reason {
	case ReasonCallerEnded, ReasonOutOfTime, ReasonShed:
		if n > 0 && c.waited == 0 && (f.reason != ReasonCallerEnded || c.attempts[n-1].Sent) {
			return f // the attempts explain it
		}
	default:
		return f
	}
	if causes := c.causes(); len(causes) > 0 {
		return &failure{f.reason, &unreachableError{f.err, causes}}
	}
	return f
}

// causes returns the dial error of each replica without a connection, or the resolver's error.
func (c *call) causes() (all []cause) {
	t := c.table()
	switch {
	case t == nil && c.unresolved != nil:
		return []cause{{err: c.unresolved}}
	case t == nil:
		return nil
	case t.view.Err != nil:
		return []cause{{err: t.view.Err}}
	}
	for _, e := range t.entries {
		if err := e.replica.Err(); err != nil {
			all = append(all, cause{e.addr, err})
		}
	}
	return all
}
