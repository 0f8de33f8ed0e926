package failover

import (
	"context"
	"testing"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
)

// What a call is given without asking the core is what the core would have said; and it is given it whenever that
// replica is well.
func TestEasyIsWhatTheCoreWouldChoose(t *testing.T) {
	for _, order := range []Order{First, RoundRobin} {
		c, _ := readyClient(t, Policy{Order: order})
		entries := c.backends.table(c.replicas).entries
		for unwell := range 1 << len(entries) {
			for i, e := range entries {
				out := unwell>>i&1 == 1
				e.suspect.Store(out)
				e.ejected.Store(out)
			}
			for number := range uint64(6) {
				number++
				candidates := c.backends.current.Load().candidates(nil, 0)
				d := new(core.Call).Next(&c.rules, c.moment(question{number: number, rules: &c.rules, remaining: core.Forever}), candidates)
				preferred := 0
				if order == RoundRobin {
					preferred = int(number-1) % len(entries)
				}
				switch e := c.easy(t.Context(), number, nil); {
				case e == nil && !candidates[preferred].Ejected:
					t.Errorf("%v, call %d, unwell %03b: not easy, though replica %d is well", order, number, unwell, preferred)
				case e != nil && e.key != candidates[d.Index].Key:
					t.Errorf("%v, call %d, unwell %03b: replica %d, where the core says %d", order, number, unwell, e.key, candidates[d.Index].Key)
				}
			}
		}
	}
}

func TestNotEasy(t *testing.T) {
	c, _ := readyClient(t, Policy{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	bounded, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	c.backends.table(c.replicas)
	for name, e := range map[string]*entry{
		"a deadline, whose time is to be shared": c.easy(bounded, 1, nil),
		"a caller who has left":                  c.easy(ended, 1, nil),
		"an option of ours":                      c.easy(t.Context(), 1, []grpc.CallOption{Trace(nil)}),
		"a finish":                               c.easy(t.Context(), 1, []grpc.CallOption{grpc.OnFinish(func(error) {})}),
	} {
		if e != nil {
			t.Errorf("%s: easy", name)
		}
	}
	if c.easy(t.Context(), 1, stubOptions) == nil {
		t.Error("a stub's call is not easy")
	}
	for name, p := range map[string]Policy{
		"order": {Order: Random}, "limit": {MaxInFlight: 1}, "learnt limit": {AdaptiveLimit: true}, "budget": {Budget: Budget{Ratio: 0.1}},
		"hedge": {Hedge: Hedge{After: 1}}, "attempts": {OnAttempt: func(context.Context, string, Attempt) {}}, "calls": {OnCall: func(context.Context, Call) {}},
	} {
		if p.plain() {
			t.Errorf("%s: a plain policy", name)
		}
	}
}
