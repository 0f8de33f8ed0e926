package failover

import (
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
)

// Trace returns a call option that reports the call's attempts. When the call returns, *attempts
// holds all of them in order, whether or not the call succeeded; earlier contents are discarded.
// For a stream, *attempts is set when the first message or the error arrives, or when the caller
// has sent so much that the stream is committed to a replica.
func Trace(attempts *[]Attempt) grpc.CallOption {
	return callOption{trace: attempts}
}

// WithMethodPolicy returns a call option that overrides the policy, including Policy.Methods, for
// one call. If a field is out of range, the call fails with InvalidArgument.
func WithMethodPolicy(m MethodPolicy) grpc.CallOption {
	return callOption{set: func(s *settings) { s.override = s.override.with(m) }}
}

// WithTimeout returns a call option that overrides Policy.Timeout for one call.
func WithTimeout(d time.Duration) grpc.CallOption { return WithMethodPolicy(MethodPolicy{Timeout: &d}) }

// WithRounds returns a call option that overrides Policy.Rounds for one call.
func WithRounds(n int) grpc.CallOption { return WithMethodPolicy(MethodPolicy{Rounds: &n}) }

// WithIdempotent returns a call option that says whether this call may be repeated even though it
// may have been executed. It overrides the policy.
func WithIdempotent(idempotent bool) grpc.CallOption {
	return WithMethodPolicy(MethodPolicy{Idempotent: &idempotent})
}

// WithWhenDown returns a call option that overrides Policy.WhenDown for one call.
// grpc.WaitForReady(true) has the same effect as WithWhenDown(WhenDownWait), and takes precedence.
func WithWhenDown(w WhenDown) grpc.CallOption { return WithMethodPolicy(MethodPolicy{WhenDown: &w}) }

// WithHedge returns a call option that overrides Policy.Hedge for one call. The zero Hedge disables
// hedging.
func WithHedge(h Hedge) grpc.CallOption { return WithMethodPolicy(MethodPolicy{Hedge: &h}) }

// callOption is a call option of this package. Exactly one field is set.
type callOption struct {
	grpc.EmptyCallOption
	trace *[]Attempt        // for Trace
	probe *replicas.Attempt // marks a probe, which is not a call
	set   func(*settings)   // for the With options
}

// settings holds the options that apply to a call as a whole, not to each attempt.
type settings struct {
	traces   []*[]Attempt
	finishes []func(error)
	override MethodPolicy
}

// report fills traces and calls OnFinish functions at the end of the call.
func (s *settings) report(attempts []Attempt, err error) {
	for _, trace := range s.traces {
		*trace = slices.Clone(attempts)
	}
	for _, finish := range s.finishes {
		finish(err)
	}
}

// parseOptions separates the options that apply to the call as a whole, nil if there are none, from
// the rest, which are passed to each attempt.
func parseOptions(opts []grpc.CallOption) (*settings, []grpc.CallOption) {
	if !slices.ContainsFunc(opts, ofCall) {
		return nil, opts
	}
	s, waitForReady := new(settings), false
	for _, o := range opts {
		switch o := o.(type) {
		case callOption:
			if o.trace != nil {
				s.traces = append(s.traces, o.trace)
			} else {
				o.set(s)
			}
		case grpc.FailFastCallOption:
			waitForReady = !o.FailFast // the last one wins
		case grpc.OnFinishCallOption:
			s.finishes = append(s.finishes, o.OnFinish)
		}
	}
	if waitForReady {
		s.override.WhenDown = new(WhenDownWait)
	}
	return s, slices.DeleteFunc(slices.Clone(opts), ofCall)
}

// IsProbe reports whether the call options that an interceptor receives are those of a health probe
// of an ejected replica (see Ejection). A probe passes through the interceptors of the connection,
// so that it gets the same credentials as a call, but it is not a call of the program: an
// interceptor that counts, times or logs calls should leave it out. Probes are unary.
func IsProbe(opts []grpc.CallOption) bool { return probeOf(opts) != nil }

// probeOf returns the attempt of a probe, or nil for a call.
func probeOf(opts []grpc.CallOption) *replicas.Attempt {
	for _, o := range opts {
		if o, ok := o.(callOption); ok && o.probe != nil {
			return o.probe
		}
	}
	return nil
}

func ofCall(o grpc.CallOption) bool {
	switch o.(type) {
	case callOption, grpc.OnFinishCallOption, grpc.FailFastCallOption:
		return true
	}
	return false
}
