package supervisor

import (
	"time"

	"example.com/crashlab/supervisor/internal/lifecycle"
)

// restartPolicy is a Policy for package lifecycle, which keeps a History as its
// memory.
type restartPolicy Policy

func (r restartPolicy) Exited(m lifecycle.Memory, e lifecycle.Exit, at time.Time, draw float64) (lifecycle.Memory, lifecycle.Decision) {
	h, _ := m.(History)
	h = h.After(Exit(e), at, Policy(r))
	return h, r.Again(h, at, draw)
}

func (r restartPolicy) Again(m lifecycle.Memory, at time.Time, draw float64) lifecycle.Decision {
	h, _ := m.(History)
	return lifecycle.Decision(Policy(r).Next(h, at, draw))
}

// Escalate forgets all but what slows down a hot loop.
func (r restartPolicy) Escalate(m lifecycle.Memory) (lifecycle.Escalation, lifecycle.Memory) {
	h, _ := m.(History)
	return lifecycle.Escalation(r.Limit.Then), History{Last: h.Last, Short: h.Short}
}
