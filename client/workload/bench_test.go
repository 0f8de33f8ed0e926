package workload

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
)

// BenchmarkRecording compares the throughput of a closed loop that records every call and attempt
// with that of one that records nothing, at a real server on loopback. They alternate in blocks of
// a few milliseconds, so that other activity on the machine affects both. It reports the ratio of
// the medians: 0.97 is an overhead of 3%.
func BenchmarkRecording(b *testing.B) {
	for _, workers := range []int{1, 16} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			const each = 50
			client := healthClient(b)
			var records Records
			recorded := func() {
				Plan{Workers: workers, Calls: workers * each}.Run(b.Context(), func(ctx context.Context, _ int) (r Reply, err error) {
					_, err = client.Check(ctx, new(healthv1.HealthCheckRequest), failover.Trace(&r.Attempts))
					return r, err
				}, records.Add)
			}
			bare := func() { callForNothing(b, client, workers, workers*each) }
			sides := [2]func(){bare, recorded}
			var took [2][]time.Duration
			for i := 0; b.Loop(); i++ {
				for j := range sides {
					side := (i + j) % 2
					began := time.Now()
					sides[side]()
					took[side] = append(took[side], time.Since(began))
				}
			}
			slices.Sort(took[0])
			slices.Sort(took[1])
			median := [2]time.Duration{stats.Quantile(took[0], 0.5), stats.Quantile(took[1], 0.5)}
			b.ReportMetric(float64(median[0])/float64(median[1]), "recorded/bare")
			b.ReportMetric(float64(workers*each)/median[0].Seconds(), "bare-calls/s")
		})
	}
}

// callForNothing makes calls like a closed loop, without recording them.
func callForNothing(b *testing.B, client healthv1.HealthClient, workers, calls int) {
	var made atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for made.Add(1) <= int64(calls) {
				if _, err := client.Check(b.Context(), new(healthv1.HealthCheckRequest)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	working.Wait()
}

// healthClient returns a failover client of one server on loopback, which is ready.
func healthClient(b *testing.B) healthv1.HealthClient {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(lis)
	b.Cleanup(server.Stop)
	policy := failover.Policy{Rounds: 3, WhenDown: failover.WhenDownWait, Timeout: time.Minute}
	conn, err := failover.NewClient("static:///"+lis.Addr().String(), policy, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	client := healthv1.NewHealthClient(conn)
	if _, err := client.Check(b.Context(), new(healthv1.HealthCheckRequest)); err != nil {
		b.Fatal(err)
	}
	return client
}

// BenchmarkOpenLoop measures the cost of starting, timing and recording a call that does nothing,
// which bounds the rate.
func BenchmarkOpenLoop(b *testing.B) {
	var records Records
	Plan{Rate: MaxRate, Calls: b.N}.Run(b.Context(), func(context.Context, int) (r Reply, err error) { return r, nil }, records.Add)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
