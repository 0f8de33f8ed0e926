// Package probe asks replicas whether they are ready or alive. Package lifecycle decides when to
// ask, and what an answer means.
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/spec"
)

const (
	readyPeriod = 100 * time.Millisecond // default of Probe.Period for Ready
	timeout     = time.Second            // default of Probe.Timeout
	threshold   = 3                      // default of Probe.Threshold
)

// WithDefaults replaces the zero values of a Ready or an Alive by their defaults.
func WithDefaults(p spec.Probe, alive bool) spec.Probe {
	usual, longest := readyPeriod, timeout
	if alive {
		usual = spec.DefaultAlivePeriod
	}
	p.Period = cmp.Or(p.Period, usual)
	if alive {
		longest = min(timeout, p.Period)
	}
	p.Timeout, p.Threshold = cmp.Or(p.Timeout, longest), cmp.Or(p.Threshold, threshold)
	return p
}

// For returns the settings of a probe for package lifecycle.
func For(p spec.Probe, alive bool) lifecycle.Probe {
	d := WithDefaults(p, alive)
	c := lifecycle.Probe{Period: d.Period, Timeout: d.Timeout, Threshold: d.Threshold, Terminate: d.Terminate}
	switch {
	case p.Kind == spec.ProbeNotify:
		c.Kind = lifecycle.ProbeNotify
	case asks(p):
		c.Kind = lifecycle.ProbePolled
	}
	return c
}

// WatchPeriod returns how often to ask a ready replica whether it is still serving. It is zero if
// the probes cannot tell, or alive asks the same question.
func WatchPeriod(ready, alive spec.Probe) time.Duration {
	if (ready.Kind == spec.ProbeGRPC || ready.Kind == spec.ProbeHTTP) && QuestionOf(ready) != QuestionOf(alive) {
		return max(ready.Period, spec.DefaultAlivePeriod)
	}
	return 0
}

// asks reports whether the supervisor asks the replica, as opposed to waiting for its report.
func asks(p spec.Probe) bool { return p.Kind != spec.ProbeNone && p.Kind != spec.ProbeNotify }

func path(p spec.Probe) string { return cmp.Or(p.Path, "/") }

// Question is what a probe asks for.
type Question struct {
	kind          spec.ProbeKind
	service, path string
}

// QuestionOf returns what p asks for.
func QuestionOf(p spec.Probe) Question { return Question{p.Kind, p.Service, path(p)} }

// Check returns an error for a probe that cannot be used with a replica at addr. Health reports
// whether there is a Config.Health.
func Check(p spec.Probe, addr string, alive, health bool) error {
	switch {
	case p.Kind < spec.ProbeNone || p.Kind > spec.ProbeNotify:
		return fmt.Errorf("probe %v: want none, tcp, grpc, http or notify", p.Kind)
	case alive && p.Kind == spec.ProbeNotify:
		return errors.New("probe notify: want grpc, http or tcp, as a replica that hangs says nothing")
	case p.Path != "" && (p.Kind != spec.ProbeHTTP || p.Path[0] != '/'):
		return fmt.Errorf("probe path %q: want one from / on, and the kind http", p.Path)
	case asks(p) && addr == "":
		return fmt.Errorf("probe %v: want an address to ask at", p.Kind)
	case p.Kind == spec.ProbeGRPC && !health:
		return errors.New("probe grpc: want Config.Health to ask with")
	case p.Period != 0 && p.Period < spec.MinPeriod:
		return fmt.Errorf("probe period %v: want %v or more", p.Period, spec.MinPeriod)
	case p.Timeout < 0:
		return fmt.Errorf("probe timeout %v: want 0 (the default) or more", p.Timeout)
	case alive && p.Timeout > WithDefaults(p, true).Period:
		return fmt.Errorf("probe timeout %v: want the period, %v, or less", p.Timeout, WithDefaults(p, true).Period)
	case p.Threshold < 0:
		return fmt.Errorf("probe threshold %d: want 0 (the default, %d) or more", p.Threshold, threshold)
	}
	return nil
}

// Prober asks replicas.
type Prober struct {
	Health func(ctx context.Context, addr, service string) error // see Config.Health

	scheme string
	client http.Client
}

// NewProber returns a Prober for Config.Health and Config.DialTLS. Over HTTP it keeps no
// connections, because a kept one may lead to the previous incarnation.
func NewProber(health func(ctx context.Context, addr, service string) error, dialTLS func(ctx context.Context, network, addr string) (net.Conn, error)) *Prober {
	r := &Prober{Health: health, scheme: "http://", client: http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialTLSContext: dialTLS},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if dialTLS != nil {
		r.scheme = "https://"
	}
	return r
}

// Probe asks the replica at addr once, within p.Timeout. It returns nil for a good answer.
func (r *Prober) Probe(ctx context.Context, p spec.Probe, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	switch p.Kind {
	case spec.ProbeGRPC:
		return r.Health(ctx, addr, p.Service)
	case spec.ProbeHTTP:
		return r.probeHTTP(ctx, addr+path(p))
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// probeHTTP returns nil for a status of 200 to 299.
func (r *Prober) probeHTTP(ctx context.Context, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.scheme+target, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "supervisor")
	reply, err := r.client.Do(req)
	if err != nil {
		return err
	}
	reply.Body.Close()
	if reply.StatusCode < 200 || reply.StatusCode > 299 {
		return fmt.Errorf("%w: GET %s: %s", spec.ErrNotServing, req.URL.Path, reply.Status)
	}
	return nil
}
