package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// rotation is a benchmark whose clients take turns, so that what else happens on the machine
// happens to all of them.
type rotation struct {
	clients []client // bare among them
	workers int      // goroutines that call at a time
	calls   int      // calls of each worker in a turn
	turns   int      // turns of each client in a run

	runs []map[entry]result // one for each -count
}

// deadlines are what each client is measured with. Zero is none, and the other one is never
// reached.
var deadlines = []time.Duration{0, 10 * time.Second}

// entry is what a line of the output is about.
type entry struct {
	client   string
	deadline time.Duration
}

func (e entry) String() string {
	if e.deadline == 0 {
		return "deadline=none/client=" + e.client
	}
	return fmt.Sprintf("deadline=%v/client=%s", e.deadline, e.client)
}

// result is what a run found about an entry.
type result struct {
	perCall   time.Duration // mean
	timesBare float64       // median over the turns
}

// benchmark runs the entries' sub-benchmarks. The testing package wants them one after the other,
// each with all its counts: so the first to need a run makes it, for all entries at once, and the
// others tell what it found.
func (r *rotation) benchmark(b *testing.B) {
	_, addrs := launchAll(b, serving, serving, serving)
	for _, deadline := range deadlines {
		for _, c := range r.clients {
			e, count := entry{c.name, deadline}, 0
			b.Run(e.String(), func(b *testing.B) {
				if b.N == 1 { // so begins each count
					count++
				}
				if count > len(r.runs) {
					r.runs = append(r.runs, r.run(b, addrs))
				}
				found := r.runs[count-1][e]
				b.ReportMetric(float64(found.perCall), "ns/op")
				b.ReportMetric(found.timesBare, "x-bare")
				//lint:ignore SA3001 the calls were made in the run, and this is how many
				b.N = r.turns * r.workers * r.calls
			})
		}
	}
}

// run measures all entries, on connections of its own. It first lets each have a few turns, to
// connect and warm up.
func (r *rotation) run(b *testing.B, addrs []string) map[entry]result {
	var conns []*connection
	for _, deadline := range deadlines {
		for _, c := range r.clients {
			conns = append(conns, c.connect(b, addrs, deadline))
		}
	}
	crew := newCrew(r.workers, r.calls)
	defer crew.dismiss()
	times := map[entry][]time.Duration{}
	const warmUp = 10
	for turn := range warmUp + r.turns {
		for _, i := range rand.Perm(len(conns)) {
			took, err := crew.turn(conns[i])
			if err != nil {
				b.Fatalf("%s: %v", conns[i].name, err)
			}
			if turn >= warmUp {
				e := entry{conns[i].name, conns[i].deadline}
				times[e] = append(times[e], took)
			}
		}
	}
	results := map[entry]result{}
	for e := range times {
		results[e] = r.summary(times[e], times[entry{bare.name, e.deadline}])
	}
	return results
}

func (r *rotation) summary(times, bares []time.Duration) result {
	var sum time.Duration
	var ratios []float64
	for i, t := range times {
		sum += t
		ratios = append(ratios, float64(t)/float64(bares[i]))
	}
	slices.Sort(ratios)
	return result{perCall: sum / time.Duration(r.turns*r.workers*r.calls), timesBare: ratios[len(ratios)/2]}
}

// crew is the goroutines that make the calls. They last for a run, since the stack of a new one has
// yet to grow.
type crew struct {
	workers int
	start   chan *connection
	done    chan error
}

func newCrew(workers, calls int) *crew {
	w := &crew{workers: workers, start: make(chan *connection), done: make(chan error, workers)}
	for range workers {
		go func() {
			for c := range w.start {
				var err error
				for i := 0; i < calls && err == nil; i++ {
					err = c.call()
				}
				w.done <- err
			}
		}()
	}
	return w
}

// turn lets every worker make its calls, and returns the time that took, or the error of one that
// failed.
func (w *crew) turn(c *connection) (took time.Duration, err error) {
	start := time.Now()
	for range w.workers {
		w.start <- c
	}
	for range w.workers {
		if e := <-w.done; e != nil {
			err = e
		}
	}
	return time.Since(start), err
}

func (w *crew) dismiss() { close(w.start) }
