package main

import (
	"context"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// BenchmarkCrash crashes the first replica with the only call in flight, relaunches it, and again.
func BenchmarkCrash(b *testing.B) {
	replicas, addrs := launchAll(b, serving, serving, serving)
	first, ready := replicas[0], make(chan struct{}, len(addrs))
	p := policy(0)
	p.Ejection = failover.Ejection{Off: true} // of a replica that crashes at each call
	p.OnReplica = func(e failover.ReplicaEvent) {
		if e.State == failover.ReplicaReady {
			ready <- struct{}{}
		}
	}
	conn, err := dialPolicy(addrs, p)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	conn.Connect()
	for range addrs {
		<-ready
	}
	var noticed, succeeded []time.Duration
	for b.Loop() {
		loss, success := callThroughCrash(b, conn, first.addr)
		crash := crashed(b, first)
		noticed, succeeded = append(noticed, loss.Sub(crash)), append(succeeded, success.Sub(crash))
		first = launchOne(b, first.addr, serving)
		<-ready
	}
	b.ReportMetric(0, "ns/op") // not shown, as it has the relaunches in it
	b.ReportMetric(ms(quantile(succeeded, 0.50)), "p50-ms")
	b.ReportMetric(ms(quantile(succeeded, 0.99)), "p99-ms")
	b.ReportMetric(ms(quantile(noticed, 0.50)), "noticed-p50-ms")
	b.ReportMetric(ms(quantile(noticed, 0.99)), "noticed-p99-ms")
}

// callThroughCrash makes a call that crashes the replica at addr. It returns when its connection
// was found broken, and when the call had succeeded at another replica, by the clock that the
// replica reads too.
func callThroughCrash(b *testing.B, conn *grpc.ClientConn, addr string) (loss, success time.Time) {
	b.Helper()
	ctx := metadata.AppendToOutgoingContext(context.Background(), crashHeader, addr)
	var attempts []failover.Attempt
	_, err := healthv1.NewHealthClient(conn).Check(ctx, new(healthv1.HealthCheckRequest), failover.Trace(&attempts))
	success = time.Now()
	if err != nil || len(attempts) != 2 || attempts[0].Outcome != failover.OutcomeLost {
		b.Fatalf("got %v, %v, want an attempt that is lost, and then success", attempts, err)
	}
	return attempts[0].Start.Add(attempts[0].Duration), success
}

// crashed returns when the replica crashed, by its own clock, once its process has ended.
func crashed(tb testing.TB, r *replica) time.Time {
	tb.Helper()
	line, err := r.line()
	if err != nil {
		tb.Fatal(err)
	}
	ns, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	r.cmd.Wait() // that it exits with 1 is the error
	if code := r.cmd.ProcessState.ExitCode(); code != 1 {
		tb.Fatalf("the replica exited with %d, want 1", code)
	}
	return time.Unix(0, ns)
}

// quantile returns the nearest-rank quantile. It sorts the times.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[max(0, int(math.Ceil(q*float64(len(times))))-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
