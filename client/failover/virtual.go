package failover

import "example.com/crashlab/client/failover/virtual"

// Virtual returns what the policy says of calls of a method, for a client in virtual time. The
// error names the field of the policy that is not allowed. That client takes a connection that
// breaks, or cannot be had, for a failure that is retried, as it is where Retryable has
// Unavailable.
func (p Policy) Virtual(method string) (virtual.Policy, error) {
	if err := p.validate(); err != nil {
		return virtual.Policy{}, err
	}
	p = p.withDefaults()
	v := p.forCore()
	v.Rules, v.Hedging = p.forMethod(method)
	return v, nil
}

// ReasonOf is the reason of a call in virtual time.
func ReasonOf(r virtual.Reason) Reason { return publicReason[r] }
