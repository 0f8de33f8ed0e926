package failover

import (
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
)

// Trace is a call option that reports the call's attempts: when the call returns, *attempts holds
// them all, in order, whether the call succeeded or not. Earlier contents are discarded. Of a
// stream it is there when the first message or the error is, or when the call is committed to a
// replica by what the caller has streamed.
func Trace(attempts *[]Attempt) grpc.CallOption {
	return callOption{trace: attempts}
}

// WithMethodPolicy is a call option that overrides the policy, including its settings for the
// method, for one call. Where a field is not allowed, the call fails with InvalidArgument.
func WithMethodPolicy(m MethodPolicy) grpc.CallOption {
	return callOption{set: func(s *settings) { s.override = s.override.with(m) }}
}

// WithTimeout is a call option that overrides Policy.Timeout for one call.
func WithTimeout(d time.Duration) grpc.CallOption { return WithMethodPolicy(MethodPolicy{Timeout: &d}) }

// WithRounds is a call option that overrides Policy.Rounds for one call.
func WithRounds(n int) grpc.CallOption { return WithMethodPolicy(MethodPolicy{Rounds: &n}) }

// WithIdempotent is a call option that says whether this call may be repeated though it may have
// been executed, whatever the policy says of the method.
func WithIdempotent(idempotent bool) grpc.CallOption {
	return WithMethodPolicy(MethodPolicy{Idempotent: &idempotent})
}

// WithWhenDown is a call option that overrides Policy.WhenDown for one call.
// grpc.WaitForReady(true) has the same effect as WithWhenDown(WhenDownWait), and precedence.
func WithWhenDown(w WhenDown) grpc.CallOption { return WithMethodPolicy(MethodPolicy{WhenDown: &w}) }

// WithHedge is a call option that overrides Policy.Hedge for one call; with the zero Hedge the call
// is not hedged.
func WithHedge(h Hedge) grpc.CallOption { return WithMethodPolicy(MethodPolicy{Hedge: &h}) }

// callOption is a call option of this package.
type callOption struct {
	grpc.EmptyCallOption
	trace *[]Attempt        // of Trace
	probe *replicas.Attempt // of a probe, which is no call
	set   func(*settings)   // of the others
}

// settings are the call options that concern the call as a whole.
type settings struct {
	traces   []*[]Attempt
	finishes []func(error)
	override MethodPolicy
}

// report gives the options what they ask for at the end of the call.
func (s *settings) report(attempts []Attempt, err error) {
	for _, trace := range s.traces {
		*trace = slices.Clone(attempts)
	}
	for _, finish := range s.finishes {
		finish(err)
	}
}

// parseOptions returns the options that concern the call as a whole, nil where there are none, and
// the rest, which each attempt gets.
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
			waitForReady = !o.FailFast // the last one counts
		case grpc.OnFinishCallOption:
			s.finishes = append(s.finishes, o.OnFinish)
		}
	}
	if waitForReady {
		s.override.WhenDown = new(WhenDownWait)
	}
	return s, slices.DeleteFunc(slices.Clone(opts), ofCall)
}

// probeOf returns the attempt of a probe, nil for a call.
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
