package failover_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// ownScheme is the scheme of a resolver that the user passes among the dial options.
type ownScheme struct{ *asked }

func (ownScheme) Scheme() string { return "own" }

func (o ownScheme) Build(t resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	cc.UpdateState(endpoints(t.Endpoint()))
	return o.asked, nil
}

// ways are the ways to create a client with a resolver of the user's.
var ways = map[string]func(c cluster, p failover.Policy, r resolver.Builder) (*grpc.ClientConn, error){
	"NewClient": func(c cluster, p failover.Policy, r resolver.Builder) (*grpc.ClientConn, error) {
		client, err := failover.NewClient("own:///abc", p, append(c.options(), grpc.WithResolvers(r))...)
		if err != nil {
			return nil, err
		}
		return client.ClientConn, nil
	},
	"DialOptions": func(c cluster, p failover.Policy, r resolver.Builder) (*grpc.ClientConn, error) {
		opts, err := failover.DialOptions(p)
		if err != nil {
			return nil, err
		}
		return grpc.NewClient("own:///abc", append(append(c.options(), grpc.WithResolvers(r)), opts...)...)
	},
}

// However often replicas that are down are dialed, and however the client was created, the resolver
// is asked at most once a second, except at the moment when they are found to be down.
func TestUserResolverIsRateLimited(t *testing.T) {
	for name, connect := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				c.crash()
				var r asked
				conn, err := connect(c, failover.Policy{}, ownScheme{&r})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				start := time.Now()
				for time.Since(start) < 5*time.Second {
					call(t.Context(), conn)
					time.Sleep(100 * time.Millisecond)
				}
				synctest.Wait()
				times := r.since(start)
				if n := len(times); n < 4 || n > 8 {
					t.Errorf("asked %d times in 5s, want about 5: %v", n, times)
				}
				for i := range times {
					if i > 0 && times[i] > 0 && times[i]-times[i-1] < time.Second {
						t.Errorf("asked again after %v, want at least 1s", times[i]-times[i-1])
					}
				}
			})
		})
	}
}

// The target is resolved periodically, so that added replicas are found.
func TestTargetIsResolvedPeriodically(t *testing.T) {
	for name, connect := range ways {
		for _, tc := range []struct{ every, want time.Duration }{
			{0, 30 * time.Second}, {10 * time.Second, 10 * time.Second}, {-1, 0},
		} {
			t.Run(fmt.Sprint(name, tc.every), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 3)
					var r asked
					conn, err := connect(c, failover.Policy{ResolveEvery: tc.every}, ownScheme{&r})
					if err != nil {
						t.Fatal(err)
					}
					conn.Connect()
					synctest.Wait()
					start := time.Now()
					time.Sleep(5*time.Minute + time.Second)
					want := 0
					if tc.want > 0 {
						want = int(5 * time.Minute / tc.want)
					}
					if times := r.since(start); len(times) != want {
						t.Errorf("asked at %v, want %d times", times, want)
					}
					conn.Close()
					closed := time.Now()
					time.Sleep(5 * time.Minute)
					if times := r.since(closed); len(times) > 0 {
						t.Errorf("asked at %v after the end", times)
					}
				})
			})
		}
	}
}
