package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/core"
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
	client *client
	member core.Member     // with the connection that it was left out with
	number int             // of the watch
	ctx    context.Context // the values and metadata of the call that left it out
}

// run asks the replica how it is, and comes again until it is well. A replica that is down is not
// asked, but it may still be tried; one that is gone comes back as another.
func (p *probe) run() {
	start := p.client.now()
	replica, over := p.replica()
	if over {
		return
	}
	ejection := p.client.shared.Policy.Ejection
	finding := core.FindingDeaf
	if replica.Ready() {
		finding = p.ask(replica, ejection.Probe)
	}
	now := p.client.now()
	if p.member.Found(p.number, finding, now, p.takenBack) {
		p.client.offer()
	} else {
		time.AfterFunc(ejection.Interval(now-start), p.run)
	}
}

func (p *probe) takenBack() { p.client.tellStanding(p.member.Link.(*replicas.Replica), ReplicaReady) }

// end is called when the replica is to be tried whatever the probes have found, so that none is
// left out for ever.
func (p *probe) end() {
	if p.member.Tried(p.number, p.client.now()) {
		p.client.offer()
	}
}

// ask makes the request of a probe, as a call on the connection: it passes the user's interceptors
// and has the user's credentials, without which a replica might refuse it.
func (p *probe) ask(r *replicas.Replica, timeout time.Duration) (f core.Finding) {
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			f = core.FindingDeaf // an interceptor that is not prepared for it; there is no caller to recover from that
		}
	}()
	request, reply := &healthv1.HealthCheckRequest{Service: p.client.policy.Ejection.Service}, new(healthv1.HealthCheckResponse)
	on := p.client.replicas.NewAttempt(ctx, r)
	err := p.client.conn().Invoke(ctx, healthv1.Health_Check_FullMethodName, request, reply, callOption{probe: on}, grpc.CallContentSubtype(proto.Name),
		grpc.ForceCodecV2(encoding.GetCodecV2(proto.Name)))
	switch code := status.Code(err); {
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_SERVING:
		return core.FindingServing
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING,
		code == codes.Unavailable, code == codes.DeadlineExceeded, // as proxies answer in its place
		!on.Answered, ctx.Err() != nil:
		return core.FindingDeaf
	default:
		return core.FindingAlive
	}
}

// probed returns the context of a probe whose metadata had been added to before. What the user's
// interceptors have added once more takes the place of that.
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
	conn := p.client.conn()
	if !p.member.Watched(p.number) || conn == nil || conn.GetState() == connectivity.Shutdown {
		return nil, true
	}
	t := p.client.backends.current.Load()
	if t == nil {
		return p.member.Link.(*replicas.Replica), false
	}
	for _, e := range t.entries {
		if e.Key == p.member.Key {
			return e.replica, false
		}
	}
	p.member.Unwatch(p.number)
	return nil, true
}
