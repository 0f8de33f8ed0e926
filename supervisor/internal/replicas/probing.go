package replicas

import (
	"context"
	"errors"
	"sync"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/internal/probe"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// probing has the questions to one incarnation that are under way.
type probing struct {
	ctx     context.Context // nil: no question yet
	cancel  context.CancelFunc
	answers chan lifecycle.Input
	running sync.WaitGroup
}

// end cancels the questions. Their answers are dropped.
func (a *probing) end() {
	if a.ctx != nil {
		a.cancel()
		a.ctx = nil
	}
}

// ask probes once, in a goroutine that delivers the answer.
func (r *runner) ask(c lifecycle.Check, question int) {
	if r.probing.ctx == nil {
		r.probing.ctx, r.probing.cancel = context.WithCancel(context.Background())
	}
	ctx, p, addr := r.probing.ctx, r.wanted.Ready, r.launched.Addr
	if c == lifecycle.CheckAlive {
		p = r.wanted.Alive
	}
	p = probe.WithDefaults(p, c == lifecycle.CheckAlive)
	var holds func(addr string) error
	if r.core.State() == status.StateStarting {
		holds = r.process.Holds
	}
	prober := r.set.config.Prober
	r.probing.running.Go(func() {
		err := prober.Probe(ctx, p, addr)
		if err == nil && holds != nil {
			err = holds(addr)
		}
		in := lifecycle.Input{
			Kind: lifecycle.InputAnswer, Check: c, Question: question,
			Err: err, NotServing: errors.Is(err, spec.ErrNotServing), LocalFault: restart.LocalShortage(err),
		}
		select {
		case r.probing.answers <- in:
		case <-ctx.Done():
		}
	})
}
