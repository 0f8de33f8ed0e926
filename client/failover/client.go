package failover

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
)

// client is one connection's policy, and what all its calls share.
type client struct {
	policy        Policy // with defaults
	rules         core.Rules
	replicas      *replicas.Set
	serviceConfig grpc.DialOption
	born          time.Time // the zero of the clock

	backends backends
	queue    queue
	hazard   core.Hazard
	budget   *core.Budget // nil: unbounded
	hedges   *core.Budget
	joins    *core.Budget
	counters counters

	cc atomic.Pointer[grpc.ClientConn] // the connection, known from the first call on

	leaving  sync.Mutex   // held while a replica is ejected, so that MaxShare holds
	suspects atomic.Int64 // zero: no replica is to be compared with others; it changes with each that is

	stuckAfter int         // attempts without an answer
	wasDown    atomic.Bool // the dial of a replica has failed
	methods    sync.Map    // full name → *method
	lastMethod atomic.Pointer[method]
	last       atomic.Uint32 // key of the replica that last answered, for OrderSticky

	tell sync.Mutex // held while OnReplica is called
}

// method is what the client knows about a method.
type method struct {
	name    string
	rules   core.Rules // the policy's, for this method
	hedge   Hedge
	latency core.Latency
}

func newClient(p Policy) (*client, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	p = p.withDefaults()
	p.Retryable, p.Idempotent, p.Methods = slices.Clone(p.Retryable), maps.Clone(p.Idempotent), maps.Clone(p.Methods)
	p.NotExecuted.Codes = slices.Clone(p.NotExecuted.Codes)
	c := &client{
		policy: p,
		replicas: replicas.NewSet(replicas.Redial{
			Every: p.Redial.Every, Linger: p.Redial.Linger, PerSecond: p.Redial.PerSecond, Timeout: p.Redial.Timeout,
			Resolve: p.ResolveEvery,
		}),
		born:   time.Now(),
		hedges: core.NewBudget(0, 0, core.HedgeBurst),
		joins:  core.NewBudget(core.JoinRatio, 0, core.JoinBurst),
	}
	c.rules = core.Rules{
		Timeout: p.Timeout, MinTimeout: p.MinTimeout, Rounds: p.Rounds,
		Pauses: core.Pauses{First: p.Pause, Factor: p.PauseGrowth.Factor, Max: p.PauseGrowth.Max, Jitter: p.PauseGrowth.Jitter},
		Order:  core.Order(p.Order), Wait: p.WhenDown == WhenDownWait,
	}
	if c.stuckAfter = p.Ejection.After; p.Ejection.Off {
		c.stuckAfter = math.MaxInt
	}
	if p.Budget.bounded() {
		c.budget = core.NewBudget(p.Budget.Ratio, p.Budget.PerSecond, p.Budget.Burst)
	}
	c.replicas.OnReady, c.replicas.Host = c.onReady, p.SameHost
	if p.OnReplica != nil {
		c.replicas.OnChange = c.onChange
	}
	js, err := serviceConfig(p.ServiceConfig, replicas.Config(c.replicas))
	if err != nil {
		return nil, err
	}
	c.serviceConfig = grpc.WithDefaultServiceConfig(js)
	return c, nil
}

// conn returns the connection; nil before the first call.
func (c *client) conn() *grpc.ClientConn { return c.cc.Load() }

// now is the time since the client was made.
func (c *client) now() time.Duration { return time.Since(c.born) }

// method returns what the client knows about the named method.
func (c *client) method(name string) *method {
	if m := c.lastMethod.Load(); m != nil && m.name == name {
		return m
	}
	known, ok := c.methods.Load(name)
	if !ok {
		m := &method{name: name, rules: c.rules, hedge: c.policy.Hedge}
		m.rules.Idempotent = c.policy.idempotent(name)
		if override, ok := forMethod(c.policy.Methods, name); ok {
			override.apply(&m.rules)
			if override.Hedge != nil {
				m.hedge = *override.Hedge
			}
		}
		known, _ = c.methods.LoadOrStore(name, m)
	}
	m := known.(*method)
	c.lastMethod.Store(m)
	return m
}

// limit is how many attempts may be in flight at a replica; zero means any number.
func (c *client) limit() int32 {
	limit := c.policy.MaxInFlight
	if c.policy.AdaptiveLimit {
		if learned := c.hazard.Limit(); learned > 0 && (limit == 0 || learned < limit) {
			limit = learned
		}
	}
	return int32(min(limit, math.MaxInt32))
}
