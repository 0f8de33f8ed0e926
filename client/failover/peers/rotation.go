package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// rotation measures what a call costs. Its clients take turns, so that whatever else happens on the
// machine happens to all of them.
type rotation struct {
	clients []client // the first is bare
	workers int      // goroutines that call at a time
	calls   int      // calls of each worker in a turn
	turns   int      // turns of each client in a run
}

// cost is what a run found about a client.
type cost struct {
	perCall   time.Duration // mean
	timesBare float64       // median over the turns
}

// run measures all clients, on connections of its own, and returns a cost for each. It first lets
// each have a few turns, to connect and warm up.
func (r *rotation) run(addrs []string) ([]cost, error) {
	var conns []*connection
	for _, c := range r.clients {
		conn, err := c.connect(addrs)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	crew := newCrew(r.workers, r.calls)
	defer crew.dismiss()
	times := make([][]time.Duration, len(conns))
	const warmUp = 10
	for turn := range warmUp + r.turns {
		for _, i := range rand.Perm(len(conns)) {
			took, err := crew.turn(conns[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.clients[i].name, err)
			}
			if turn >= warmUp {
				times[i] = append(times[i], took)
			}
		}
	}
	costs := make([]cost, len(conns))
	for i := range times {
		costs[i] = r.summary(times[i], times[0])
	}
	return costs, nil
}

func (r *rotation) summary(times, bares []time.Duration) cost {
	var sum time.Duration
	var ratios []float64
	for i, t := range times {
		sum += t
		ratios = append(ratios, float64(t)/float64(bares[i]))
	}
	slices.Sort(ratios)
	return cost{perCall: sum / time.Duration(r.turns*r.workers*r.calls), timesBare: ratios[len(ratios)/2]}
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
					err = c.check()
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
