package replicas

import (
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// calm is the minimum time between two requests to a resolver.
const calm = time.Second

// CalmResolver returns a builder whose resolvers are asked for another resolution at most once a
// second: at once when a replica is lost, or if they have been asked within the second before, when
// it is over.
//
// gRPC asks after every lost connection and every dial that fails, in the connection's own code and
// not through its load-balancing policy. So the resolver is the one place to bound it, when a
// replica that is down is dialed 40 times a second. In addition, the dns resolver itself keeps 30 s
// between two requests.
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

// CalmResolvers returns the registered resolvers that the target may need, calmed. The option
// belongs behind all others, for a resolver among those has precedence: gRPC gives no way to reach
// that one.
func CalmResolvers(target string) grpc.DialOption {
	builders := []resolver.Builder{CalmResolver(resolver.Get("dns"))} // where the target has no scheme
	if u, err := url.Parse(target); err == nil && u.Scheme != "dns" {
		if b := resolver.Get(u.Scheme); b != nil {
			builders = append(builders, CalmResolver(b))
		}
	}
	return grpc.WithResolvers(builders...)
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

	mu     sync.Mutex // held while the resolver is asked, so that it is not after Close
	asked  time.Time
	later  bool // a request is scheduled
	closed bool
}

func (r *calmResolver) ResolveNow(o resolver.ResolveNowOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch wait := calm - time.Since(r.asked); {
	case r.later:
	case wait > 0:
		r.later = true
		time.AfterFunc(wait, r.askLater)
	default:
		r.ask(o)
	}
}

func (r *calmResolver) askLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later = false
	if !r.closed {
		r.ask(resolver.ResolveNowOptions{})
	}
}

// ask passes a request on. mu must be held.
func (r *calmResolver) ask(o resolver.ResolveNowOptions) {
	r.asked = time.Now()
	r.Resolver.ResolveNow(o)
}

func (r *calmResolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Resolver.Close()
}
