package failover

import (
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
)

// Trace is a call option that reports the call's attempts: when the call returns, *attempts holds them all, in order,
// whether the call succeeded or not. Earlier contents are dropped. Of a stream it is there when the first message or the
// error is, or, where the client sends a stream, when that is open.
func Trace(attempts *[]Attempt) grpc.CallOption {
	return callOption{trace: attempts}
}

// WithTimeout is a call option that takes the place of Policy.Timeout. A negative value counts as zero.
func WithTimeout(d time.Duration) grpc.CallOption {
	return override(func(p *overrides) { p.timeout = new(max(d, 0)) })
}

// WithRounds is a call option that takes the place of Policy.Rounds. Less than 1 counts as 1.
func WithRounds(n int) grpc.CallOption {
	return override(func(p *overrides) { p.rounds = new(max(n, 1)) })
}

// WithIdempotent is a call option that says whether this call may be repeated though it may have been executed, whatever
// Policy.Idempotent says of the method.
func WithIdempotent(idempotent bool) grpc.CallOption {
	return override(func(p *overrides) { p.idempotent = &idempotent })
}

// WithWhenDown is a call option that takes the place of Policy.WhenDown.
func WithWhenDown(w WhenDown) grpc.CallOption {
	return override(func(p *overrides) { p.whenDown = &w })
}

// WithHedge is a call option that takes the place of Policy.Hedge's After and Quantile; with both zero the call is not
// hedged.
func WithHedge(h Hedge) grpc.CallOption {
	return override(func(p *overrides) { p.hedge = &h })
}

// callOption is a call option of this package.
type callOption struct {
	grpc.EmptyCallOption
	trace *[]Attempt      // of Trace
	set   func(*settings) // of the others
}

// settings are the call options that concern the call as a whole.
type settings struct {
	traces    []*[]Attempt
	finishes  []func(error)
	overrides *overrides // nil: none
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

// parseOptions returns the options that concern the call as a whole, nil where there are none, and the rest, which each
// attempt gets.
func parseOptions(opts []grpc.CallOption) (*settings, []grpc.CallOption) {
	if !slices.ContainsFunc(opts, ofCall) {
		return nil, opts
	}
	s := new(settings)
	for _, o := range opts {
		switch o := o.(type) {
		case callOption:
			if o.trace != nil {
				s.traces = append(s.traces, o.trace)
			} else {
				o.set(s)
			}
		case grpc.OnFinishCallOption:
			s.finishes = append(s.finishes, o.OnFinish)
		}
	}
	return s, slices.DeleteFunc(slices.Clone(opts), ofCall)
}

func ofCall(o grpc.CallOption) bool {
	switch o.(type) {
	case callOption, grpc.OnFinishCallOption:
		return true
	}
	return false
}

// overrides are what a call sets in place of the policy.
type overrides struct {
	timeout    *time.Duration
	rounds     *int
	idempotent *bool
	whenDown   *WhenDown
	hedge      *Hedge
}

func override(set func(*overrides)) grpc.CallOption {
	return callOption{set: func(s *settings) {
		if s.overrides == nil {
			s.overrides = new(overrides)
		}
		set(s.overrides)
	}}
}

// apply returns the rules with what the call sets.
func (o *overrides) apply(r core.Rules) *core.Rules {
	if o.timeout != nil {
		if r.Timeout = *o.timeout; r.Timeout > 0 {
			r.MinTimeout = min(r.MinTimeout, r.Timeout)
		}
	}
	if o.rounds != nil {
		r.Rounds = *o.rounds
	}
	if o.idempotent != nil {
		r.Idempotent = *o.idempotent
	}
	if o.whenDown != nil {
		r.Wait = *o.whenDown == WhenDownWait
	}
	return &r
}
