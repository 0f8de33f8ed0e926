package failover_test

import (
	"context"
	"sync/atomic"
	"testing"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// work is a service of the tests, beside grpc.health.v1. All its methods answer alike.
type work struct {
	answer atomic.Pointer[func(context.Context) error] // nil: success
	served atomic.Int64
	now    atomic.Int64 // requests being served
	most   atomic.Int64 // of now

	byMethod map[string]func(context.Context) error // overrides answer for some methods
}

// newWork returns n replicas that serve work in addition to health.
func newWork(t testing.TB, n int) (cluster, []*work) {
	c, all := newCluster(t, n), make([]*work, n)
	for i, r := range c {
		all[i] = new(work)
		r.other = all[i].serve
	}
	return c, all
}

// does sets the handler.
func (w *work) does(f func(context.Context) error) { w.answer.Store(&f) }

func (w *work) serve(stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(healthv1.HealthCheckRequest)); err != nil {
		return err
	}
	w.served.Add(1)
	now := w.now.Add(1)
	defer w.now.Add(-1)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
	method, _ := grpc.MethodFromServerStream(stream)
	answer := w.byMethod[method]
	if f := w.answer.Load(); answer == nil && f != nil {
		answer = *f
	}
	if answer != nil {
		if err := answer(stream.Context()); err != nil {
			return err
		}
	}
	return stream.SendMsg(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING})
}

const workMethod = "/test.Work/Do"

// do makes one call of work and returns its attempts.
func do(ctx context.Context, conn grpc.ClientConnInterface, opts ...grpc.CallOption) ([]failover.Attempt, error) {
	var attempts []failover.Attempt
	err := conn.Invoke(ctx, workMethod, new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse),
		append(opts, failover.Trace(&attempts))...)
	return attempts, err
}

// wantPath makes one call, which must succeed with the given path.
func wantPath(t *testing.T, conn grpc.ClientConnInterface, p string, opts ...grpc.CallOption) {
	t.Helper()
	if attempts, err := do(t.Context(), conn, opts...); err != nil || path(attempts) != p {
		t.Errorf("got %q, %v, want %q", path(attempts), err, p)
	}
}
