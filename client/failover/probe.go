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

// probe checks an ejected replica until it is healthy.
type probe struct {
	client *client
	member core.Member     // with the connection that it had when it was ejected
	number int             // of the watch
	ctx    context.Context // with the values and metadata of the call that caused the ejection
}

// run probes the replica, and schedules the next probe unless the replica is healthy. A replica
// without a connection counts as unhealthy. If the replica is gone, probing ends.
func (p *probe) run() {
	start := p.client.now()
	replica, over := p.replica()
	if over {
		return
	}
	ejection := p.client.shared.Policy.Ejection
	finding := core.FindingUnhealthy
	if replica.Ready() {
		finding = p.ask(replica, ejection.Probe)
	}
	now := p.client.now()
	if p.member.Probed(p.number, finding, now, p.takenBack) {
		p.client.offer()
	} else {
		time.AfterFunc(ejection.Interval(now-start), p.run)
	}
}

func (p *probe) takenBack() { p.client.reportEjection(p.member.Link.(*replicas.Replica), ReplicaReady) }

// end puts the replica on trial regardless of the probes, so that no replica stays ejected forever.
func (p *probe) end() {
	if p.member.StartTrial(p.number, p.client.now()) {
		p.client.offer()
	}
}

// ask sends a health check as a call on the connection, so that it passes through the user's
// interceptors and has the user's credentials. Without these a replica might refuse it.
func (p *probe) ask(r *replicas.Replica, timeout time.Duration) (f core.Finding) {
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			f = core.FindingUnhealthy // an interceptor panicked, and there is no caller to recover
		}
	}()
	request, reply := &healthv1.HealthCheckRequest{Service: p.client.policy.Ejection.Service}, new(healthv1.HealthCheckResponse)
	on := p.client.replicas.NewAttempt(ctx, r)
	err := p.client.conn().Invoke(ctx, healthv1.Health_Check_FullMethodName, request, reply, callOption{probe: on}, grpc.CallContentSubtype(proto.Name),
		grpc.ForceCodecV2(encoding.GetCodecV2(proto.Name)))
	switch code := status.Code(err); {
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_SERVING:
		return core.FindingServing
	case on.Picked() && !on.Answered && ctx.Err() != nil:
		r.Renew() // perhaps it is the connection that is dead
		return core.FindingUnhealthy
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING,
		code == codes.Unavailable, code == codes.DeadlineExceeded, // perhaps from a proxy in front of it
		!on.Answered, ctx.Err() != nil:
		return core.FindingUnhealthy
	default:
		return core.FindingAlive
	}
}

// probed returns the context of a probe without duplicate metadata. The context of the call already
// has what the user's interceptors added to it; what they have added again for the probe replaces
// that.
func probed(ctx context.Context, before metadata.MD) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	for key, values := range md {
		if n := len(before[key]); n > 0 && len(values) > n {
			md[key] = values[n:]
		}
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// replica returns the replica to probe. It returns true if probing is over.
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
