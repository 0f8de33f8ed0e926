package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
)

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
