package main

import (
	"slices"
	"testing"
	"time"

	counterv1 "example.com/crashlab/gen/counter/v1"
	"example.com/crashlab/services/fault"
)

// BenchmarkServiceTime measures the accuracy of simulated service times over real gRPC: how long
// the client of each call waits beyond the service time that the plan draws. It reports quantiles
// in milliseconds.
func BenchmarkServiceTime(b *testing.B) {
	for _, text := range []string{"0", "1ms", "uniform:50ms:500ms", "exp:20ms"} {
		b.Run(text, func(b *testing.B) {
			var drawn fault.Distribution
			if err := drawn.UnmarshalText([]byte(text)); err != nil {
				b.Fatal(err)
			}
			plan := fault.Plan{Seed: 7, Replica: "a", Incarnation: 1}
			service := counterv1.NewCounterClient(start(b, "--seed", "7", "--service-time", text).dial(b))
			var beyond []time.Duration
			k := uint64(0) // the requests of one connection, one at a time, arrive in the order of the calls
			for b.Loop() {
				k++
				began := time.Now()
				if _, err := service.Get(b.Context(), &counterv1.GetRequest{}); err != nil {
					b.Fatal(err)
				}
				beyond = append(beyond, time.Since(began)-drawn.Quantile(plan.Draws(k).ServiceTime))
			}
			slices.Sort(beyond)
			for name, q := range map[string]float64{"ms-least": 0, "ms-median": 0.5, "ms-p90": 0.9, "ms-p99": 0.99, "ms-most": 1} {
				i := min(int(q*float64(len(beyond))), len(beyond)-1)
				b.ReportMetric(beyond[i].Seconds()*1000, name)
			}
		})
	}
}
