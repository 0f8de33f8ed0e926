package replicas_test

import (
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/resolver"
)

// asked is a resolver that records when it is asked.
type asked struct {
	resolver.Builder
	begin  time.Time
	times  []time.Duration // since begin
	closed bool
}

func (a *asked) Build(resolver.Target, resolver.ClientConn, resolver.BuildOptions) (resolver.Resolver, error) {
	return a, nil
}

func (a *asked) ResolveNow(resolver.ResolveNowOptions) {
	a.times = append(a.times, time.Since(a.begin))
}
func (a *asked) Close() { a.closed = true }

// Requests pass at most once a second, none is lost, and none follows Close.
func TestThrottledResolver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner := &asked{begin: time.Now()}
		r, err := replicas.ThrottledResolver(inner).Build(resolver.Target{}, nil, resolver.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		const ms = time.Millisecond
		for _, at := range []time.Duration{0, 0, 1 * ms, 999 * ms, 1500 * ms, 9000 * ms, 9001 * ms, 9999 * ms, 10500 * ms} {
			time.Sleep(at - time.Since(inner.begin))
			r.ResolveNow(resolver.ResolveNowOptions{})
		}
		r.Close()
		time.Sleep(10 * time.Second)
		if want := []time.Duration{0, 1000 * ms, 2000 * ms, 9000 * ms, 10000 * ms}; !slices.Equal(inner.times, want) {
			t.Errorf("asked at %v, want %v", inner.times, want)
		}
		if !inner.closed {
			t.Error("the resolver is not closed")
		}
	})
}

type ownAuthority struct{ *asked }

func (ownAuthority) OverrideAuthority(resolver.Target) string { return "own" }

// The authority of a resolver is kept, and a resolver without one does not get one.
func TestThrottledResolverKeepsAuthority(t *testing.T) {
	if _, ok := replicas.ThrottledResolver(new(asked)).(resolver.AuthorityOverrider); ok {
		t.Error("a resolver without an authority of its own has got one")
	}
	o, ok := replicas.ThrottledResolver(ownAuthority{}).(resolver.AuthorityOverrider)
	if !ok || o.OverrideAuthority(resolver.Target{}) != "own" {
		t.Errorf("the resolver's own authority is lost: %v", ok)
	}
}
