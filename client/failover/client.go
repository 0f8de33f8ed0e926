package failover

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
)

// client holds the policy of one connection and the state that its calls share.
type client struct {
	policy        Policy // with defaults
	shared        core.Shared
	replicas      *replicas.Set
	serviceConfig grpc.DialOption
	born          time.Time // when the clock was at zero

	backends backends
	queue    queue
	counters counters

	cc atomic.Pointer[grpc.ClientConn] // nil before the first call

	methods    sync.Map // full name → *method
	lastMethod atomic.Pointer[method]

	eventMu sync.Mutex // held while OnReplica is called
}

// method holds the rules for a method and what was learned about it.
type method struct {
	name    string
	rules   core.Rules
	hedging core.Hedging
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
		born: time.Now(),
	}
	c.seed(rand.Uint64())
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

// seed sets the seed of all random choices. It must be called before the first call.
func (c *client) seed(seed uint64) {
	c.shared.Init(c.policy.forCore(), seed)
	c.replicas.Seed = seed
}

// conn returns the connection, or nil before the first call.
func (c *client) conn() *grpc.ClientConn { return c.cc.Load() }

// now returns the time since the client was created, which is the clock of all decisions.
func (c *client) now() time.Duration { return time.Since(c.born) }

// method returns the entry of the named method, and creates it if necessary.
func (c *client) method(name string) *method {
	if m := c.lastMethod.Load(); m != nil && m.name == name {
		return m
	}
	known, ok := c.methods.Load(name)
	if !ok {
		m := &method{name: name}
		m.rules, m.hedging = c.policy.forMethod(name)
		known, _ = c.methods.LoadOrStore(name, m)
	}
	m := known.(*method)
	c.lastMethod.Store(m)
	return m
}
