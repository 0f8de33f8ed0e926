package peers

import "testing"

// BenchmarkCall is a whole call, one at a time.
func BenchmarkCall(b *testing.B) {
	clients := append([]client{bare, again, ours, roundRobin}, others...)
	r := rotation{clients: clients, workers: 1, calls: 10, turns: 1000}
	r.benchmark(b)
}

// BenchmarkThroughput is a call's share of the time when 64 goroutines call at once.
func BenchmarkThroughput(b *testing.B) {
	r := rotation{clients: []client{bare, again, ours}, workers: 64, calls: 5, turns: 200}
	r.benchmark(b)
}
