package replicas

import (
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// calm is how long an answer of the resolver is good for.
const calm = time.Second

// CalmResolvers returns the resolvers that a target may need, calmed. Those among a connection's options come first, where
// these stand behind them.
func CalmResolvers(target string) grpc.DialOption {
	builders := []resolver.Builder{CalmResolver(resolver.Get("dns"))} // where the target has no scheme
	if u, err := url.Parse(target); err == nil && u.Scheme != "dns" {
		if b := resolver.Get(u.Scheme); b != nil {
			builders = append(builders, CalmResolver(b))
		}
	}
	return grpc.WithResolvers(builders...)
}

// CalmResolver returns a builder whose resolvers are asked for another resolution at most once a second: at once when a
// replica is lost, unless one has been asked for within the second before.
//
// gRPC asks after every lost connection and every dial that fails, in the connection's own code and not through its
// load-balancing policy. So the resolver is the one place to bound it, when a replica that is down is dialed 40 times a
// second. A request in the second after another is dropped, not put off: while a replica stays down its next dial asks
// again, and if it does not, the last answer was good. The dns resolver besides keeps 30 s between two of its own.
func CalmResolver(b resolver.Builder) resolver.Builder {
	c := calmBuilder{b}
	if o, ok := b.(resolver.AuthorityOverrider); ok {
		return struct {
			calmBuilder
			resolver.AuthorityOverrider
		}{c, o}
	}
	return c
}

type calmBuilder struct{ resolver.Builder }

func (b calmBuilder) Build(t resolver.Target, cc resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	r, err := b.Builder.Build(t, cc, o)
	if err != nil {
		return nil, err
	}
	return &calmResolver{Resolver: r}, nil
}

type calmResolver struct {
	resolver.Resolver

	mu    sync.Mutex
	asked time.Time
}

func (r *calmResolver) ResolveNow(o resolver.ResolveNowOptions) {
	if r.due(time.Now()) {
		r.Resolver.ResolveNow(o)
	}
}

// due reports whether to ask now, and if so counts it as asked.
func (r *calmResolver) due(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.asked) < calm {
		return false
	}
	r.asked = now
	return true
}
