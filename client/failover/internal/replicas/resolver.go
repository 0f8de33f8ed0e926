package replicas

import (
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// resolveGap is the minimum time between two requests to a resolver.
const resolveGap = time.Second

// ThrottledResolver returns a builder whose resolvers pass on ResolveNow at most once a second. A
// request within a second of the last one is deferred until the second is over. The resolvers
// report their errors as a *DownError; gRPC passes on only the text of others before the first
// success.
//
// gRPC calls ResolveNow after every lost connection and every failed dial, and not through the
// load-balancing policy. So the resolver is the only place to limit the rate, when a replica that
// is down is dialed 40 times a second. The dns resolver itself keeps 30 s between resolutions.
func ThrottledResolver(b resolver.Builder) resolver.Builder {
	c := throttledBuilder{b}
	if o, ok := b.(resolver.AuthorityOverrider); ok {
		return struct {
			throttledBuilder
			resolver.AuthorityOverrider
		}{c, o}
	}
	return c
}

// ThrottledResolvers returns an option with the registered resolvers that the target may need,
// wrapped by ThrottledResolver. The option belongs after all others. A resolver among those takes
// precedence and is not limited, because gRPC gives no access to it.
func ThrottledResolvers(target string) grpc.DialOption {
	builders := []resolver.Builder{ThrottledResolver(resolver.Get("dns"))} // for a target without a scheme
	if u, err := url.Parse(target); err == nil && u.Scheme != "dns" {
		if b := resolver.Get(u.Scheme); b != nil {
			builders = append(builders, ThrottledResolver(b))
		}
	}
	return grpc.WithResolvers(builders...)
}

type throttledBuilder struct{ resolver.Builder }

func (b throttledBuilder) Build(t resolver.Target, cc resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	r, err := b.Builder.Build(t, reporter{cc}, o)
	if err != nil {
		return nil, newDownError(err)
	}
	return &throttledResolver{Resolver: r}, nil
}

// reporter keeps gRPC from reducing a resolver's error to its text.
type reporter struct{ resolver.ClientConn }

func (r reporter) ReportError(err error) { r.ClientConn.ReportError(newDownError(err)) }

type throttledResolver struct {
	resolver.Resolver

	mu     sync.Mutex // held during ResolveNow, so that none follows Close
	asked  time.Time
	later  bool // a request is scheduled
	closed bool
}

func (r *throttledResolver) ResolveNow(o resolver.ResolveNowOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch wait := resolveGap - time.Since(r.asked); {
	case r.later:
	case wait > 0:
		r.later = true
		time.AfterFunc(wait, r.askLater)
	default:
		r.ask(o)
	}
}

func (r *throttledResolver) askLater() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later = false
	if !r.closed {
		r.ask(resolver.ResolveNowOptions{})
	}
}

// ask passes on a request. mu must be held.
func (r *throttledResolver) ask(o resolver.ResolveNowOptions) {
	r.asked = time.Now()
	r.Resolver.ResolveNow(o)
}

func (r *throttledResolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Resolver.Close()
}
