package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
)

// ProbeKind is a way to check whether a replica is ready or alive.
type ProbeKind int

const (
	ProbeNone   ProbeKind = iota // no check
	ProbeTCP                     // its address accepts a connection
	ProbeGRPC                    // [Config.Health] returns nil for its address
	ProbeHTTP                    // a GET of Path at its address is answered by a status from 200 to 299
	ProbeNotify                  // it sends READY=1 to NOTIFY_SOCKET, see sd_notify(3); not for Alive
)

var probeKinds = [...]string{ProbeNone: "none", ProbeTCP: "tcp", ProbeGRPC: "grpc", ProbeHTTP: "http", ProbeNotify: "notify"}

func (k ProbeKind) String() string {
	if k < 0 || int(k) >= len(probeKinds) {
		return fmt.Sprintf("ProbeKind(%d)", int(k))
	}
	return probeKinds[k]
}

// Probe is a question to a replica. The zero value asks nothing.
//
// A replica that hangs is killed after Threshold × Period + Timeout at the latest.
// ProbeTCP does not detect a hang, as the kernel accepts connections for a process
// that does nothing. Failures on our side, such as a lack of file descriptors or a
// time in which our process was suspended, are not counted.
type Probe struct {
	Kind    ProbeKind
	Service string // with ProbeGRPC: the service to ask for; empty: the server as a whole
	Path    string // with ProbeHTTP: the path of the URL, which begins with a slash; empty: /

	// Period is the time from one question to the next, LeastPeriod or more. For
	// Ready it is the longest time: the first questions come sooner. Zero: 1 s
	// for Alive, 100 ms for Ready.
	Period time.Duration
	// Timeout is how long an answer may take; for Alive at most Period. Zero:
	// 1 s, or for Alive Period if that is less.
	Timeout time.Duration
	// Threshold is how many questions in a row must fail before Alive does. Zero:
	// 3. Ready does not use it.
	Threshold int
	// Terminate makes a failed Alive stop the replica as Stop does. False: it is
	// killed at once, as a process that hangs cannot be expected to drain.
	Terminate bool
}

// LeastPeriod is the least Period of a [Probe].
const LeastPeriod = 10 * time.Millisecond

const (
	readyPeriod = 100 * time.Millisecond
	alivePeriod = time.Second
	maxTimeout  = time.Second // default of Probe.Timeout
	threshold   = 3           // default of Probe.Threshold
)

// withDefaults fills in what is zero.
func (p Probe) withDefaults(period time.Duration) Probe {
	if p.Period == 0 {
		p.Period = period
	}
	if p.Timeout == 0 {
		p.Timeout = maxTimeout
		if period == alivePeriod {
			p.Timeout = min(maxTimeout, p.Period)
		}
	}
	if p.Threshold == 0 {
		p.Threshold = threshold
	}
	return p
}

// asks reports whether we ask the replica, rather than wait for its own report.
func (p Probe) asks() bool { return p.Kind != ProbeNone && p.Kind != ProbeNotify }

func (p Probe) path() string { return cmp.Or(p.Path, "/") }

// core returns the probe for package lifecycle, which decides when to ask.
func (p Probe) core(period time.Duration) lifecycle.Probe {
	d := p.withDefaults(period)
	c := lifecycle.Probe{Period: d.Period, Timeout: d.Timeout, Threshold: d.Threshold, Terminate: d.Terminate}
	switch {
	case p.Kind == ProbeNotify:
		c.Kind = lifecycle.ProbeNotify
	case p.asks():
		c.Kind = lifecycle.ProbeAsked
	}
	return c
}

// question is what a probe asks for.
type question struct {
	kind          ProbeKind
	service, path string
}

func (p Probe) question() question { return question{p.Kind, p.Service, p.path()} }

func (p Probe) check(addr string, alive, health bool) error {
	switch {
	case p.Kind < ProbeNone || p.Kind > ProbeNotify:
		return fmt.Errorf("probe %v: want none, tcp, grpc, http or notify", p.Kind)
	case alive && p.Kind == ProbeNotify:
		return errors.New("probe notify: want grpc, http or tcp, as a replica that hangs says nothing")
	case p.Path != "" && (p.Kind != ProbeHTTP || p.Path[0] != '/'):
		return fmt.Errorf("probe path %q: want one from / on, and the kind http", p.Path)
	case p.asks() && addr == "":
		return fmt.Errorf("probe %v: want an address to ask at", p.Kind)
	case p.Kind == ProbeGRPC && !health:
		return errors.New("probe grpc: want Config.Health to ask with")
	case p.Period != 0 && p.Period < LeastPeriod:
		return fmt.Errorf("probe period %v: want %v or more", p.Period, LeastPeriod)
	case p.Timeout < 0:
		return fmt.Errorf("probe timeout %v: want 0 (the default) or more", p.Timeout)
	case alive && p.Timeout > p.withDefaults(alivePeriod).Period:
		return fmt.Errorf("probe timeout %v: want the period, %v, or less", p.Timeout, p.withDefaults(alivePeriod).Period)
	case p.Threshold < 0:
		return fmt.Errorf("probe threshold %d: want 0 (the default, %d) or more", p.Threshold, threshold)
	}
	return nil
}

// ErrNotServing is to be wrapped by the error that [Config.Health] returns for a
// service that answers that it does not serve: it is alive, but not ready.
var ErrNotServing = errors.New("not serving")

// asking holds the questions to one incarnation that are under way.
type asking struct {
	ctx     context.Context // nil: none was asked yet
	cancel  context.CancelFunc
	answers chan lifecycle.Input
	asked   sync.WaitGroup
}

// end cancels the questions. Their answers are dropped.
func (a *asking) end() {
	if a.ctx != nil {
		a.cancel()
		a.ctx = nil
	}
}

// ask asks once, in a goroutine of its own, which delivers the answer.
func (r *runner) ask(c lifecycle.Check, question int) {
	if r.asking.ctx == nil {
		r.asking.ctx, r.asking.cancel = context.WithCancel(context.Background())
	}
	ctx, p, addr := r.asking.ctx, r.wanted.Ready.withDefaults(readyPeriod), r.launched.Addr
	if c == lifecycle.CheckAlive {
		p = r.wanted.Alive.withDefaults(alivePeriod)
	}
	var holds func(addr string) error
	if r.core.State() == lifecycle.StateStarting {
		holds = r.process.Holds
	}
	health := r.set.supervisor.config.Health
	r.asking.asked.Go(func() {
		err := p.ask(ctx, addr, health)
		if err == nil && holds != nil {
			err = holds(addr)
		}
		in := lifecycle.Input{
			Kind: lifecycle.InputAnswer, Check: c, Question: question,
			Err: err, NotServing: errors.Is(err, ErrNotServing), Ours: restart.OurLack(err),
		}
		select {
		case r.asking.answers <- in:
		case <-ctx.Done():
		}
	})
}

// ask asks the replica at addr once, and returns nil for a good answer.
func (p Probe) ask(ctx context.Context, addr string, health func(ctx context.Context, addr, service string) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	switch p.Kind {
	case ProbeGRPC:
		return health(ctx, addr, p.Service)
	case ProbeHTTP:
		return askHTTP(ctx, "http://"+addr+p.path())
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// httpClient keeps no connections, as a kept one may lead to the previous
// incarnation.
var httpClient = http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// askHTTP returns nil for an answer with a status from 200 to 299.
func askHTTP(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "supervisor")
	answer, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%w: GET %s: %s", ErrNotServing, req.URL.Path, answer.Status)
	}
	return nil
}
