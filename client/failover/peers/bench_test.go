package main

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkCall is a whole call, one at a time.
func BenchmarkCall(b *testing.B) {
	clients := append([]client{bare, again, ours, roundRobin}, others...)
	benchmark(b, rotation{clients: clients, workers: 1, calls: 10, turns: 1000})
}

// BenchmarkThroughput is a call's share of the time when 64 goroutines call at once.
func BenchmarkThroughput(b *testing.B) {
	benchmark(b, rotation{clients: []client{bare, again, ours}, workers: 64, calls: 5, turns: 200})
}

// benchmark runs the rotation without a deadline, and with one that is never reached. Each attempt
// has it, or the whole call if a client has no deadline for attempts.
func benchmark(b *testing.B, r rotation) {
	_, addrs := launchAll(b, serving, serving, serving)
	clients := r.clients
	for _, deadline := range []time.Duration{0, 10 * time.Second} {
		name := "deadline=none"
		if deadline > 0 {
			name = fmt.Sprintf("deadline=%v", deadline)
		}
		r.clients = nil
		for _, c := range clients {
			r.clients = append(r.clients, atOnce(c, deadline))
		}
		b.Run(name, func(b *testing.B) { benchmarkClients(b, r, addrs) })
	}
}

// benchmarkClients runs the clients' sub-benchmarks. The testing package runs them one after the
// other, each with all its counts: so the first that needs a run makes it for all clients, and the
// others report what it found.
func benchmarkClients(b *testing.B, r rotation, addrs []string) {
	var runs [][]cost // one for each -count
	for i, c := range r.clients {
		count := 0
		b.Run("client="+c.name, func(b *testing.B) {
			if b.N == 1 { // each count begins with this
				count++
			}
			if count > len(runs) {
				costs, err := r.run(addrs)
				if err != nil {
					b.Fatal(err)
				}
				runs = append(runs, costs)
			}
			found := runs[count-1][i]
			b.ReportMetric(float64(found.perCall), "ns/op")
			b.ReportMetric(found.timesBare, "x-bare")
			//lint:ignore SA3001 the calls were made in the run, and this is how many
			b.N = r.turns * r.workers * r.calls
		})
	}
}
