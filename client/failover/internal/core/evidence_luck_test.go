package core

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// judged is a set of replicas that are judged by sequential calls.
type judged struct {
	method *Latency
	all    []Standing
	out    int // number of ejections
}

const judgedAfter = 3 // failures

// choose returns the replica for the n-th call: round robin among the replicas with the least doubt
// that are not ejected.
func (j *judged) choose(n int) int {
	i := n % len(j.all)
	for k := range j.all {
		if !j.all[k].Out() && (j.all[i].Out() || j.all[k].Doubt(judgedAfter) < j.all[i].Doubt(judgedAfter)) {
			i = k
		}
	}
	return i
}

// call makes a call at a replica, which takes the given time unless the deadline cuts it off.
func (j *judged) call(i int, took, deadline time.Duration) {
	if took <= deadline {
		j.method.Add(took)
		for _, x := range j.all[i].Answered() {
			j.compare(i, x.Waited, false)
		}
		j.compare(i, took, true)
		return
	}
	j.method.AddCutOff(deadline)
	enough, compare := j.all[i].CutOff(judgedAfter, j.method, deadline)
	if enough {
		j.leaveOut(i)
	}
	if compare {
		j.compare(i, deadline, false)
	}
}

// compare passes the duration of an attempt to the other replicas.
func (j *judged) compare(with int, took time.Duration, answered bool) {
	for k := range j.all {
		if k != with && j.all[k].Suspect(judgedAfter) && j.all[k].Compare(judgedAfter, j.method, took, answered) {
			j.leaveOut(k)
		}
	}
}

func (j *judged) leaveOut(i int) {
	j.all[i].Eject(0)
	j.out++
}

var luck = map[string]func(*rand.Rand) time.Duration{
	"exponential": func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(100*ms)) },
	"constant":    func(*rand.Rand) time.Duration { return 100 * ms },
	"uniform":     func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(200 * ms))) },
	"Pareto":      func(r *rand.Rand) time.Duration { return time.Duration(float64(20*ms) / (1 - r.Float64())) },
	"two kinds":   func(r *rand.Rand) time.Duration { return []time.Duration{ms, time.Hour}[r.IntN(10)/9] },
}

// eachLuck runs a test for each distribution of service times and each deadline.
func eachLuck(t *testing.T, test func(t *testing.T, draw func() time.Duration, deadline time.Duration)) {
	for name, draw := range luck {
		for _, deadline := range []time.Duration{20 * ms, 50 * ms, 100 * ms, 200 * ms, time.Second} {
			t.Run(fmt.Sprintf("%s, %v", name, deadline), func(t *testing.T) {
				t.Parallel()
				rnd := rand.New(rand.NewPCG(1, 2))
				test(t, func() time.Duration { return draw(rnd) }, deadline)
			})
		}
	}
}

// No replica is ejected for bad luck alone, whatever the distribution and the deadline.
func TestBadLuckEjectsNoReplica(t *testing.T) {
	eachLuck(t, func(t *testing.T, draw func() time.Duration, deadline time.Duration) {
		j := judged{method: new(Latency), all: make([]Standing, 3)}
		for n := range 8000 {
			j.call(j.choose(n), draw(), deadline)
		}
		if j.out > 0 {
			t.Errorf("%d of the replicas, which are all alike, were ejected", j.out)
		}
	})
}

// A replica that hangs is tried only a few more times, unless so many calls are cut off at the
// others that it cannot be distinguished.
func TestHungReplicaIsDistinguished(t *testing.T) {
	eachLuck(t, func(t *testing.T, draw func() time.Duration, deadline time.Duration) {
		j, lost := judged{method: new(Latency), all: make([]Standing, 3)}, 0
		for n := range 8000 {
			i, took := j.choose(n), draw()
			if i == 0 && n > 1000 {
				took = time.Hour
				lost++
			}
			j.call(i, took, deadline)
		}
		if j.method.Sample(deadline).Sooner > 2000 && lost > 60 {
			t.Errorf("it was tried %d times", lost)
		}
	})
}
