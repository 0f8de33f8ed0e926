package session

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/crashlab/client/live"
)

// guide runs a scenario.
type guide struct {
	mu     sync.Mutex
	cancel context.CancelFunc // of the running scenario; nil if none runs
	ended  chan struct{}      // closed when it has ended
}

// stop ends the running scenario and waits for its end.
func (g *guide) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.halt()
}

// halt is stop with g.mu held.
func (g *guide) halt() {
	if g.cancel != nil {
		g.cancel()
		<-g.ended
		g.cancel = nil
	}
}

// runScenario ends the running scenario and begins another, or none.
func (s *Session) runScenario(_ context.Context, c live.Command) error {
	all := live.Scenarios()
	i := slices.IndexFunc(all, func(g live.Guide) bool { return g.Name == c.Scenario })
	if i < 0 && c.Scenario != "" {
		var names []string
		for _, g := range all {
			names = append(names, g.Name)
		}
		return live.Refuse(http.StatusNotFound, "scenario %q: want one of %s", c.Scenario, strings.Join(names, ", "))
	}
	s.guide.mu.Lock()
	defer s.guide.mu.Unlock()
	s.guide.halt()
	if i < 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(s.calling)
	ended := make(chan struct{})
	s.guide.cancel, s.guide.ended = cancel, ended
	s.work.Go(func() {
		defer close(ended)
		s.play(ctx, all[i])
	})
	return nil
}

// play executes the steps of a scenario, each at its time.
func (s *Session) play(ctx context.Context, g live.Guide) {
	began := time.Now()
	now := live.Scenario{Name: g.Name, Began: live.Micros(began.Sub(s.State().Began))}
	defer s.apply(live.ScenarioChanged{})
	for _, step := range g.Steps {
		timer := time.NewTimer(time.Until(began.Add(time.Duration(step.At))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if step.Say != "" {
			now.Say = step.Say
			s.apply(live.Marked{Kind: live.MarkScenario, Text: step.Say})
		}
		for _, c := range step.Do {
			if _, err := s.Do(ctx, c); err != nil {
				s.apply(live.Marked{Kind: live.MarkCommand, Text: actions[c.Do].text(c), Replicas: c.Replicas, Load: c.Load, Error: err.Error()})
			}
		}
		now.Done++
		s.apply(live.ScenarioChanged(now))
	}
}
