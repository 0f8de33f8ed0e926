package failover_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// checkCause fails the test unless the text of the error has the words, and errors.As finds the
// cause.
func checkCause(t *testing.T, err error, code codes.Code, cause any, words string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("got %v, want %v", err, code)
	}
	if !errors.As(err, cause) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %q, and its cause as %T", err, words, cause)
	}
}

// The error of a call that found no replica names the cause for each, however the call ends.
func TestRootCause(t *testing.T) {
	waits := failover.Policy{WhenDown: failover.WhenDownWait}
	for _, tc := range []struct {
		name     string
		policy   failover.Policy
		deadline time.Duration
		code     codes.Code
	}{
		{"at the deadline", waits, 3 * time.Second, codes.DeadlineExceeded},
		{"at the end of MaxWait", failover.Policy{WhenDown: failover.WhenDownWait, MaxWait: time.Second}, 3 * time.Second, codes.ResourceExhausted},
		{"too late for an attempt", failover.Policy{WhenDown: failover.WhenDownWait, MinTimeout: time.Second}, 3 * time.Second, codes.DeadlineExceeded},
		{"without a wait", failover.Policy{}, 3 * time.Second, codes.Unavailable},
		{"no time at all", failover.Policy{}, -1, codes.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := func(t *testing.T) context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), tc.deadline)
				t.Cleanup(cancel)
				return ctx
			}
			t.Run("refused", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 2)
					c.crash()
					conn := c.connect(t, tc.policy)
					_, err := call(ctx(t), conn)
					checkCause(t, err, tc.code, new(syscall.Errno), "connection refused")
					if !strings.Contains(err.Error(), "a:1") || !strings.Contains(err.Error(), "b:1") {
						t.Errorf("got %v, want both replicas named", err)
					}
					checkCause(t, watch(ctx(t), conn), tc.code, new(syscall.Errno), "connection refused")
				})
			})
			t.Run("not trusted", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ca, s := newAuthority(t), secured{}
					s.serve(t, "a.test:443", &tls.Config{Certificates: []tls.Certificate{ca.issue("a.test")}}, nil)
					conn := s.connect(t, "static:///a.test:443", tc.policy, &tls.Config{RootCAs: x509.NewCertPool()})
					conn.Connect()
					time.Sleep(time.Second)
					_, err := call(ctx(t), conn)
					checkCause(t, err, tc.code, new(x509.UnknownAuthorityError), "unknown authority")
				})
			})
		})
	}
}

// stubResolver is a resolver that reports nothing by itself.
type stubResolver struct {
	resolver.ClientConn // of the last connection

	scheme string
}

func (s *stubResolver) Scheme() string { return s.scheme }
func (s *stubResolver) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	s.ClientConn = cc
	return s, nil
}
func (*stubResolver) ResolveNow(resolver.ResolveNowOptions) {}
func (*stubResolver) Close()                                {}

// registered is known to gRPC by its scheme.
var registered = &stubResolver{scheme: "registered"}

func init() {
	resolver.Register(registered)
	resolver.Register(unbuildable{})
}

var errNoHost = errors.New("no such host")

// The resolver's error reaches the caller, whether or not the call waits. A call that waits
// survives the error.
func TestRootCauseOfTheResolver(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		opts   []grpc.CallOption
		code   codes.Code
		took   time.Duration
	}{
		{"waiting", failover.Policy{WhenDown: failover.WhenDownWait}, nil, codes.DeadlineExceeded, 3 * time.Second},
		{"waiting for ready", failover.Policy{}, []grpc.CallOption{grpc.WaitForReady(true)}, codes.DeadlineExceeded, 3 * time.Second},
		{"waiting so long", failover.Policy{WhenDown: failover.WhenDownWait, MaxWait: time.Second}, nil, codes.ResourceExhausted, time.Second},
		{"not waiting", failover.Policy{}, nil, codes.Unavailable, 0},
	} {
		for i := range 4 {
			known, among := i%2 > 0, i/2 > 0 // among the options
			t.Run(tc.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 1)
					m, options := registered, []grpc.DialOption(nil)
					if among {
						m = &stubResolver{scheme: "test"}
						options = append(options, grpc.WithResolvers(m))
					}
					conn := c.client(t, m.scheme+":///x", tc.policy, options...)
					conn.Connect()
					synctest.Wait()
					if known { // that the target resolves to nothing
						m.UpdateState(resolver.State{})
					}
					m.ReportError(fmt.Errorf("looking up x: %w", errNoHost))
					synctest.Wait()
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					start := time.Now()
					attempts, err := call(ctx, conn, tc.opts...)
					if took := time.Since(start); took != tc.took || status.Code(err) != tc.code || len(attempts) != 0 || !strings.Contains(err.Error(), "no such host") {
						t.Errorf("got %v after %v, want %v after %v for want of a host", err, took, tc.code, tc.took)
					}
					if (known || !among) && !errors.Is(err, errNoHost) {
						t.Errorf("known %v, among the options %v: got %v, want the resolver's error in its chain", known, among, err)
					}
					if tc.took < 3*time.Second {
						return
					}
					time.AfterFunc(time.Second, func() { m.UpdateState(endpoints("a")) })
					if attempts, err := call(t.Context(), conn, tc.opts...); err != nil || path(attempts) != "a:1 ok sent" {
						t.Errorf("got %q, %v, want a:1 ok sent once it is found", path(attempts), err)
					}
				})
			})
		}
	}
}

// unbuildable is a resolver that cannot be built.
type unbuildable struct{}

func (unbuildable) Scheme() string { return "unbuildable" }
func (unbuildable) Build(resolver.Target, resolver.ClientConn, resolver.BuildOptions) (resolver.Resolver, error) {
	return nil, fmt.Errorf("unbuildable: %w", errNoHost)
}

// The reason why there is no resolver reaches the caller.
func TestRootCauseOfNoResolver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		conn := newCluster(t, 1).client(t, "unbuildable:///x", failover.Policy{})
		for what, err := range map[string]error{"call": second(call(t.Context(), conn)), "stream": watch(t.Context(), conn)} {
			if status.Code(err) != codes.Unavailable || !errors.Is(err, failover.ErrNoReplicas) || !errors.Is(err, errNoHost) {
				t.Errorf("%s: got %v, want Unavailable, and the reason in its chain", what, err)
			}
		}
	})
}

func second[A, B any](_ A, b B) B { return b }

// The code of a resolver's error is not the caller's, and its context neither.
func TestResolverErrorIsNotTheCallers(t *testing.T) {
	for _, reported := range []error{
		context.DeadlineExceeded, status.Error(codes.NotFound, "nothing"), status.Error(codes.PermissionDenied, "not for you"),
	} {
		for _, known := range []bool{false, true} {
			t.Run(reported.Error(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					conn := newCluster(t, 1).client(t, "registered:///x", failover.Policy{})
					conn.Connect()
					synctest.Wait()
					if known {
						registered.UpdateState(resolver.State{})
					}
					registered.ReportError(reported)
					synctest.Wait()
					_, err := call(t.Context(), conn)
					if status.Code(err) != codes.Unavailable || !errors.Is(err, failover.ErrNoReplicas) || errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("known %v: got %v, want Unavailable and no caller's error", known, err)
					}
				})
			})
		}
	}
}

// Events and statistics have the last dial's error, until there is a connection.
func TestDialErrorIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[1].crash()
		reported := map[string]error{}
		conn := c.connect(t, failover.Policy{OnReplica: func(e failover.ReplicaEvent) {
			if e.State == failover.ReplicaDown || e.Err != nil {
				reported[e.Replica] = e.Err
			}
		}})
		call(t.Context(), conn)
		if len(reported) != 1 || !errors.Is(reported["b:1"], syscall.ECONNREFUSED) {
			t.Errorf("got events %v, want that b refused", reported)
		}
		if r := conn.Statistics().Replicas; r[0].Err != nil || !errors.Is(r[1].Err, syscall.ECONNREFUSED) {
			t.Errorf("got %+v, want that b refused", r)
		}
		c[1].start()
		callFor(t, conn, 100*time.Millisecond, 10*time.Millisecond)
		if r := conn.Statistics().Replicas; r[1].Err != nil {
			t.Errorf("b is back: got %v", r[1].Err)
		}
	})
}

// A dial's deadline is not mistaken for the caller's.
func TestDialDeadlineIsNotTheCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		conn := c.client(t, c.target(), failover.Policy{}, c.dialing(new(atomic.Int64), map[string]func(context.Context) (net.Conn, error){
			"a:1": func(context.Context) (net.Conn, error) { return nil, context.DeadlineExceeded },
		}))
		if _, err := call(t.Context(), conn); status.Code(err) != codes.Unavailable || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want an error that is not the caller's deadline", err)
		}
	})
}

// grpc.WaitForReady(true) makes a call wait, and false leaves the decision to the policy.
func TestWaitForReady(t *testing.T) {
	for _, tc := range []struct {
		name     string
		whenDown failover.WhenDown
		opts     []grpc.CallOption
		waits    bool
	}{
		{"true", failover.WhenDownAttempt, []grpc.CallOption{grpc.WaitForReady(true)}, true},
		{"false", failover.WhenDownAttempt, []grpc.CallOption{grpc.WaitForReady(false)}, false},
		{"false, and the policy waits", failover.WhenDownWait, []grpc.CallOption{grpc.WaitForReady(false)}, true},
		{"the last one counts", failover.WhenDownAttempt, []grpc.CallOption{grpc.WaitForReady(true), grpc.WaitForReady(false)}, false},
		{"beside another option", failover.WhenDownAttempt, []grpc.CallOption{grpc.WaitForReady(true), failover.WithRounds(2)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c.crash()
				conn := c.connect(t, failover.Policy{WhenDown: tc.whenDown})
				for _, f := range []func() error{
					func() error { _, err := call(t.Context(), conn, tc.opts...); return err },
					func() error { return watch(t.Context(), conn, tc.opts...) },
				} {
					start := time.Now()
					time.AfterFunc(2*time.Second, c[1].start)
					err := f()
					served := err == nil || status.Code(err) == codes.Unimplemented
					if took := time.Since(start); served != tc.waits || (took >= 2*time.Second) != tc.waits || took > 2100*time.Millisecond {
						t.Errorf("got %v after %v, want it to wait: %v", err, took, tc.waits)
					}
					time.Sleep(3 * time.Second)
					c[1].crash()
					time.Sleep(100 * time.Millisecond)
				}
			})
		})
	}
}
