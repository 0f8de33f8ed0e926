package stats_test

import (
	"fmt"

	"example.com/crashlab/client/stats"
)

// Ten runs of 50 calls each, under two policies: what share of calls succeeds, and is the second
// policy better?
func Example() {
	sample := func(succeeded ...float64) stats.Sample {
		s := stats.Sample{Kind: stats.KindShare}
		for _, n := range succeeded {
			s.Runs = append(s.Runs, stats.Run{Count: n, Of: 50})
		}
		return s
	}
	one := sample(31, 35, 28, 40, 33, 29, 36, 30, 34, 32)
	other := sample(44, 47, 41, 45, 48, 43, 46, 44, 42, 47)
	i := one.Interval()
	fmt.Printf("one: %.2f [%.2f, %.2f]\n", i.Estimate, i.Low, i.High)
	d := stats.Difference(one, other)
	fmt.Printf("the other: %+.2f [%+.2f, %+.2f]\n", d.Estimate, d.Low, d.High)
	fmt.Println("better:", d.Sign() > 0)
	fmt.Println("runs for ±0.01:", one.RunsNeeded(0.01))
	// Output:
	// one: 0.66 [0.61, 0.71]
	// the other: +0.24 [+0.17, +0.29]
	// better: true
	// runs for ±0.01: 204
}
