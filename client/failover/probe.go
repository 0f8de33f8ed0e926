package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// probe looks after a replica that is left out.
type probe struct {
	client  *client
	backend *backend
	ctx     context.Context // the values and metadata of the call that left it out
	ill     bool            // it has said so, or not answered
}

// run asks the replica how it is, and comes again until it is well. A replica that is down is not asked, but it may still be
// tried; one that is gone comes back as another.
func (p *probe) run() {
	start := p.client.now()
	replica, over := p.replica()
	if over {
		return
	}
	interval := p.client.policy.Ejection.Probe
	finding := deaf
	if replica.Ready() {
		finding = p.ask(replica, interval)
	}
	if p.judge(finding) {
		p.client.offer()
	} else {
		time.AfterFunc(max(0, interval-(p.client.now()-start)), p.run)
	}
}

// end is called when the replica is to be tried whatever the probes have found, so that none is left out for ever.
func (p *probe) end() {
	if p.judge(alive) {
		p.client.offer()
	}
}

// finding is what a probe has found out.
type finding uint8

const (
	deaf    finding = iota // no answer, or one that says that it cannot serve
	alive                  // an answer of a live process, which says nothing about what it serves
	serving                // the health service says that it serves
)

// ask makes the request of a probe, as a call on the connection: it passes the user's interceptors and has the user's
// credentials, without which a replica might refuse it.
func (p *probe) ask(r *replicas.Replica, timeout time.Duration) (f finding) {
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			f = deaf // an interceptor that is not prepared for it; there is no caller to recover from that
		}
	}()
	request, reply := &healthv1.HealthCheckRequest{Service: p.client.policy.Ejection.Service}, new(healthv1.HealthCheckResponse)
	on := p.client.replicas.NewAttempt(ctx, r)
	err := p.client.conn().Invoke(ctx, healthv1.Health_Check_FullMethodName, request, reply, callOption{probe: on}, grpc.CallContentSubtype(proto.Name),
		grpc.ForceCodecV2(encoding.GetCodecV2(proto.Name)))
	switch code := status.Code(err); {
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_SERVING:
		return serving
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING,
		code == codes.Unavailable, code == codes.DeadlineExceeded, // as proxies answer in its place
		!on.Answered, ctx.Err() != nil:
		return deaf
	default:
		return alive
	}
}

// probed returns the context of a probe whose metadata had been added to before. What the user's interceptors have added once more
// takes the place of that.
func probed(ctx context.Context, before metadata.MD) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	for key, values := range md {
		if n := len(before[key]); n > 0 && len(values) > n {
			md[key] = values[n:]
		}
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// replica returns the connection to ask on. It returns true where nobody needs to know any more.
func (p *probe) replica() (r *replicas.Replica, over bool) {
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	conn := p.client.conn()
	if p.backend.probe != p || !p.backend.standing.Out() || conn == nil || conn.GetState() == connectivity.Shutdown {
		return nil, true
	}
	if p.backend.gone.Load() {
		p.backend.probe = nil // if it comes back, it is as good as new
		return nil, true
	}
	if t := p.client.backends.current.Load(); t != nil {
		for _, e := range t.entries {
			if e.backend == p.backend {
				return e.replica, false
			}
		}
	}
	return p.backend.left.replica, false
}

// judge takes back a replica that is well again. One that is alive, or whose health service saw nothing wrong, is tried by one
// call at a time. It reports whether there is nothing left to ask.
func (p *probe) judge(f finding) bool {
	b, now := p.backend, p.client.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.probe != p || !b.standing.Out():
		return true
	case f == serving && p.ill:
		b.standing.Try()
		p.client.takeBack(b, b.left.replica)
	case f != deaf:
		b.standing.Try()
		b.since = now
		b.trial.Store(true)
	default:
		p.ill = true
		return false
	}
	return true
}
