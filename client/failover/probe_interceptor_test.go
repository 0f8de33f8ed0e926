package failover_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// tenant is the context key of a value that the user's interceptor requires.
type tenant struct{}

// A probe has the context values and metadata of the call that caused the ejection, but not its
// deadline.
func TestProbeHasWhatTheCallHad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		var asked atomic.Int64
		var wrong atomic.Pointer[[]string]
		c[0].handle = func(ctx context.Context) error {
			asked.Add(1)
			md, _ := metadata.FromIncomingContext(ctx)
			if tokens := md["authorization"]; len(tokens) != 1 || len(md["tenant"]) != 1 {
				wrong.Store(&tokens)
				return status.Error(codes.Unavailable, "who are you?")
			}
			return nil
		}
		authorize := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", ctx.Value(tenant{}).(string))
			return invoker(ctx, method, req, reply, cc, opts...)
		}
		conn := c.connect(t, failover.Policy{}, grpc.WithChainUnaryInterceptor(authorize))
		ctx := metadata.AppendToOutgoingContext(context.WithValue(t.Context(), tenant{}, "me"), "tenant", "me")
		works[0].does(answer(codes.Unavailable))
		for range 3 {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			do(ctx, conn)
			cancel()
		}
		works[0].does(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if asked.Load() == 0 || wrong.Load() != nil {
			t.Errorf("%d probes, with the wrong tokens %v", asked.Load(), wrong.Load())
		}
		if attempts, err := do(ctx, conn); path(attempts) != "a:1 ok sent" {
			t.Errorf("got %q, %v, want a:1 ok sent", path(attempts), err)
		}
	})
}

// A probe that panics or fails in the user's interceptor does not end the program, and the replica
// is still put on trial.
func TestProbeThatCannotSucceed(t *testing.T) {
	for name, spoil := range map[string]func(context.Context) error{
		"panics":        func(context.Context) error { panic("no health checks here") },
		"refuses":       func(context.Context) error { return status.Error(codes.PermissionDenied, "no health checks here") },
		"waits":         func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"waits forever": func(ctx context.Context) error { time.Sleep(long); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				conn := c.connect(t, failover.Policy{}, grpc.WithUnaryInterceptor(
					func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
						if method == healthv1.Health_Check_FullMethodName {
							if err := spoil(ctx); err != nil {
								return err
							}
						}
						return invoker(ctx, method, req, reply, cc, opts...)
					}))
				ejectFirst(t, conn, works[0])
				time.Sleep(12 * time.Second)
				synctest.Wait()
				wantPath(t, conn, "a:1 ok sent")
				wantPath(t, conn, "a:1 ok sent")
				conn.Close()
				time.Sleep(2 * long)
			})
		})
	}
}

// NOT_SERVING keeps a replica ejected for longer than any other answer, but not forever.
func TestReplicaThatIsNotServing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].health.Store(int32(healthv1.HealthCheckResponse_NOT_SERVING))
		conn := c.connect(t, failover.Policy{})
		ejectFirst(t, conn, works[0])
		time.Sleep(9 * time.Second)
		synctest.Wait()
		wantPath(t, conn, "b:1 ok sent")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		wantPath(t, conn, "a:1 ok sent")
	})
}

// A codec of the user's is not used for probes.
func TestProbeIgnoresUserCodec(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		conn := c.connect(t, failover.Policy{}, grpc.WithDefaultCallOptions(grpc.CallContentSubtype("unheard-of")))
		proto := grpc.CallContentSubtype("proto")
		works[0].does(answer(codes.Unavailable))
		for range 3 {
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent", proto)
		}
		works[0].does(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		wantPath(t, conn, "a:1 ok sent", proto)
	})
}

// wantOK makes one call, which must succeed.
func wantOK(t *testing.T, conn *failover.Client) {
	t.Helper()
	if attempts, err := do(t.Context(), conn); err != nil {
		t.Errorf("got %q, %v", path(attempts), err)
	}
}

// Replicas that require credentials, and are ejected one after another, all have their share of the
// calls afterwards.
func TestReplicasEjectedInTurnComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 4)
		for _, r := range c {
			r.handle = func(ctx context.Context) error {
				if md, _ := metadata.FromIncomingContext(ctx); len(md["authorization"]) == 0 {
					return status.Error(codes.Unauthenticated, "who are you?")
				}
				return nil
			}
		}
		conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin}, grpc.WithUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				return invoker(metadata.AppendToOutgoingContext(ctx, "authorization", "me"), method, req, reply, cc, opts...)
			}))
		for _, w := range works {
			w.does(answer(codes.Unavailable))
			for range 12 {
				wantOK(t, conn)
			}
			w.does(nil)
			time.Sleep(600 * ms)
			synctest.Wait()
		}
		for range 4 {
			wantOK(t, conn) // one call for each to be reinstated
		}
		for _, w := range works {
			w.served.Store(0)
		}
		for range 400 {
			do(t.Context(), conn)
		}
		for i, w := range works {
			if n := w.served.Load(); n < 90 || n > 110 {
				t.Errorf("%s has served %d of 400 calls, want a quarter", c[i].addr, n)
			}
		}
	})
}

// A client whose interceptor adds what the servers require notices when a replica is healthy again.
func TestProbePassesThroughUserInterceptors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		var asked atomic.Pointer[string]
		var well atomic.Bool
		c[0].handle = func(ctx context.Context) error {
			md, _ := metadata.FromIncomingContext(ctx)
			if len(md["authorization"]) == 0 {
				return status.Error(codes.Unauthenticated, "who are you?")
			}
			if !well.Load() {
				return status.Error(codes.Unavailable, "ill")
			}
			return nil
		}
		authorize := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if r, ok := req.(*healthv1.HealthCheckRequest); ok && method == healthv1.Health_Check_FullMethodName {
				asked.Store(&r.Service)
			}
			return invoker(metadata.AppendToOutgoingContext(ctx, "authorization", "me"), method, req, reply, cc, opts...)
		}
		conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{After: 3, Service: "work"}}, grpc.WithUnaryInterceptor(authorize))
		ejectFirst(t, conn, works[0])
		before := conn.Statistics().Calls
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := asked.Load(); s == nil || *s != "work" {
			t.Errorf("probed the services %v, want work", s)
		}
		wantPath(t, conn, "b:1 ok sent")
		well.Store(true)
		time.Sleep(600 * ms)
		synctest.Wait()
		wantPath(t, conn, "a:1 ok sent")
		if n := conn.Statistics().Calls - before; n != 2 {
			t.Errorf("%d calls, want 2, as a probe is not a call", n)
		}
	})
}

// An interceptor recognizes probes, and no call is one.
func TestIsProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		var probes, calls, wrong atomic.Int64
		conn := c.connect(t, failover.Policy{}, grpc.WithUnaryInterceptor(
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				counter := &calls
				if failover.IsProbe(opts) {
					counter = &probes
				}
				counter.Add(1)
				if failover.IsProbe(opts) != (method == healthv1.Health_Check_FullMethodName) {
					wrong.Add(1)
				}
				return invoker(ctx, method, req, reply, cc, opts...)
			}))
		ejectFirst(t, conn, works[0])
		time.Sleep(time.Second)
		synctest.Wait()
		if probes.Load() == 0 || calls.Load() != 4 || wrong.Load() != 0 {
			t.Errorf("%d probes and %d calls, %d taken for the other; want some, 4 and 0", probes.Load(), calls.Load(), wrong.Load())
		}
	})
}
