package failover

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// MethodPolicy overrides a Policy for some methods or for one call. A nil field leaves the policy
// as it is: MethodPolicy{Rounds: new(5)} changes only the rounds.
type MethodPolicy struct {
	// Timeout overrides Policy.Timeout. If nonzero, it also caps MinTimeout.
	Timeout *time.Duration
	// Rounds overrides Policy.Rounds.
	Rounds *int
	// WhenDown overrides Policy.WhenDown.
	WhenDown *WhenDown
	// Idempotent overrides Policy.Idempotent and the idempotency_level of the method's proto.
	Idempotent *bool
	// Hedge overrides Policy.Hedge.
	Hedge *Hedge
}

// with returns m with the non-nil fields of other.
func (m MethodPolicy) with(other MethodPolicy) MethodPolicy {
	if other.Timeout != nil {
		m.Timeout = other.Timeout
	}
	if other.Rounds != nil {
		m.Rounds = other.Rounds
	}
	if other.WhenDown != nil {
		m.WhenDown = other.WhenDown
	}
	if other.Idempotent != nil {
		m.Idempotent = other.Idempotent
	}
	if other.Hedge != nil {
		m.Hedge = other.Hedge
	}
	return m
}

// apply sets the fields of the rules that m overrides.
func (m *MethodPolicy) apply(r *core.Rules) {
	if m.Timeout != nil {
		if r.Timeout = *m.Timeout; r.Timeout > 0 {
			r.MinTimeout = min(r.MinTimeout, r.Timeout)
		}
	}
	if m.Rounds != nil {
		r.Rounds = max(*m.Rounds, 1)
	}
	if m.WhenDown != nil {
		r.Wait = *m.WhenDown == WhenDownWait
	}
	if m.Idempotent != nil {
		r.Idempotent = *m.Idempotent
	}
}

// validate returns an error for each field out of its range.
func (m *MethodPolicy) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if m.Timeout != nil {
		errs = append(errs, validDuration("Timeout", *m.Timeout, noTimeout))
	}
	if m.Rounds != nil {
		check(*m.Rounds >= 0, "Rounds %d: want 0 or more", *m.Rounds)
	}
	if m.WhenDown != nil {
		check(m.WhenDown.valid(), "WhenDown %d: want WhenDownAttempt or WhenDownWait", *m.WhenDown)
	}
	if m.Hedge != nil {
		errs = append(errs, m.Hedge.validate())
	}
	return errors.Join(errs...)
}

// forMethod returns the value of the longest key that matches the method: the method itself, its
// service, or "/".
func forMethod[V any](values map[string]V, method string) (v V, ok bool) {
	for _, key := range []string{method, method[:strings.LastIndexByte(method, '/')+1], "/"} {
		if v, ok = values[key]; ok {
			return v, true
		}
	}
	return v, false
}

// checkMethodKey returns an error for a key that matches no method. It can check a method name only
// if the program links in the descriptor of the service.
func checkMethodKey(key string) error {
	parts := strings.Split(key, "/")
	if key == "/" {
		return nil
	}
	if len(parts) != 3 || parts[0] != "" || parts[1] == "" {
		return fmt.Errorf(`%q: want "/SERVICE/METHOD", "/SERVICE/" or "/"`, key)
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(parts[1]))
	if err != nil {
		return nil // not linked in
	}
	service, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return fmt.Errorf("%q: %s is not a service", key, parts[1])
	}
	methods := service.Methods()
	if parts[2] == "" || methods.ByName(protoreflect.Name(parts[2])) != nil {
		return nil
	}
	names := make([]string, methods.Len())
	for i := range names {
		names[i] = string(methods.Get(i).Name())
	}
	return fmt.Errorf("%q: the methods of %s are %s", key, parts[1], strings.Join(names, ", "))
}

// idempotent reports whether the method may be repeated even though it may have been executed: as
// Policy.Idempotent says, or else the idempotency_level in the method's descriptor.
func (p *Policy) idempotent(method string) bool {
	if yes, ok := forMethod(p.Idempotent, method); ok {
		return yes
	}
	full := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(full))
	if err != nil {
		return false
	}
	options, _ := d.Options().(*descriptorpb.MethodOptions)
	return options != nil && options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}
