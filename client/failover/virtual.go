package failover

import "example.com/crashlab/client/failover/virtual"

// Virtual returns the policy for calls of a method, for a client in virtual time. That client
// retries after a lost or refused connection, as a real one does if Retryable has Unavailable. An
// error names the invalid field.
func (p Policy) Virtual(method string) (virtual.Policy, error) {
	if err := p.validate(); err != nil {
		return virtual.Policy{}, err
	}
	p = p.withDefaults()
	v := p.forCore()
	v.Rules, v.Hedging = p.forMethod(method)
	return v, nil
}

// ReasonOf converts the reason of a call in virtual time.
func ReasonOf(r virtual.Reason) Reason { return publicReason[r] }
