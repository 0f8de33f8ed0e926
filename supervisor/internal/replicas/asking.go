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
	ctx, p, addr := r.asking.ctx, r.wanted.Ready, r.launched.Addr
	if c == lifecycle.CheckAlive {
		p = r.wanted.Alive
	}
	p = probe.WithDefaults(p, c == lifecycle.CheckAlive)
	var holds func(addr string) error
	if r.core.State() == status.StateStarting {
		holds = r.process.Holds
	}
	asker := r.set.config.Asker
	r.asking.asked.Go(func() {
		err := asker.Ask(ctx, p, addr)
		if err == nil && holds != nil {
			err = holds(addr)
		}
		in := lifecycle.Input{
			Kind: lifecycle.InputAnswer, Check: c, Question: question,
			Err: err, NotServing: errors.Is(err, spec.ErrNotServing), Ours: restart.OurLack(err),
		}
		select {
		case r.asking.answers <- in:
		case <-ctx.Done():
		}
	})
}
