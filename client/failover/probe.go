package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// probe looks after a replica that is left out.
type probe struct {
	client  *client
	backend *backend
	ill     bool // it has said so, or not answered
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
	if !p.judge(finding) {
		time.AfterFunc(max(0, interval-(p.client.now()-start)), p.run)
	} else if p.client.queue.crowded() {
		p.client.dispatch()
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
func (p *probe) ask(r *replicas.Replica, timeout time.Duration) finding {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, reply := &healthv1.HealthCheckRequest{Service: p.client.policy.Ejection.Service}, new(healthv1.HealthCheckResponse)
	on := p.client.replicas.NewAttempt(ctx, r)
	err := p.client.conn().Invoke(ctx, healthv1.Health_Check_FullMethodName, request, reply, callOption{probe: on})
	switch code := status.Code(err); {
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_SERVING:
		return serving
	case code == codes.OK && reply.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING, !on.Answered,
		code == codes.Unavailable, code == codes.DeadlineExceeded, code == codes.ResourceExhausted:
		return deaf
	default:
		return alive
	}
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
// call at a time, and so is any other after a longer while. It reports whether there is nothing left to ask.
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
	case f != deaf, now >= b.standing.TrialAt(p.client.policy.Ejection.Probe):
		b.standing.Try()
		b.since = now
		b.trial.Store(true)
	default:
		p.ill = true
		return false
	}
	return true
}
