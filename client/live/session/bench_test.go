package session

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/live/web"
	"example.com/crashlab/client/workload"
	faultv1 "example.com/crashlab/gen/fault/v1"
)

const (
	benchCallers = 8
	benchTime    = time.Second // of each turn
)

// turn is the result of one turn of a load.
type turn struct {
	rate float64 // calls a second
	cpu  float64 // of this process, in microseconds a call
}

// BenchmarkThroughput compares a load outside a session with the same load in a session, without
// and with a page that reads. They take turns, so that changes of the machine affect all alike. The
// costs come from the medians: in throughput and, which other work on the machine affects less, in
// processor time of this process, which makes the calls and reads the page.
//
//	go test ./client/live/session -run '^$' -bench Throughput -benchtime 15x
func BenchmarkThroughput(b *testing.B) {
	c := startCluster(b, 3, 3)
	var replicas []cluster.Replica
	for _, name := range []string{"a", "b", "c"} {
		c.setFaults(name, &faultv1.SetRequest{ServiceTime: new("0s")})
		replicas = append(replicas, cluster.Replica{Addr: c.status(name).Addr})
	}
	kinds := map[string]func() turn{
		"own":          func() turn { return ownLoad(b, staticTarget(replicas)) },
		"without-page": func() turn { return c.sessionLoad(b, false) },
		"with-page":    func() turn { return c.sessionLoad(b, true) },
	}
	turns := map[string][]turn{}
	for b.Loop() {
		for kind, load := range kinds { // in random order
			turns[kind] = append(turns[kind], load())
		}
	}
	own := medians(turns["own"])
	b.ReportMetric(own.rate, "calls/s")
	b.ReportMetric(own.cpu, "µs-cpu/call")
	for _, kind := range []string{"without-page", "with-page"} {
		of := medians(turns[kind])
		b.ReportMetric(100*(1-of.rate/own.rate), "%-rate-"+kind)
		b.ReportMetric(100*(of.cpu/own.cpu-1), "%-cpu-"+kind)
	}
	b.ReportMetric(0, "ns/op")
}

func medians(turns []turn) turn {
	rates, cpus := make([]float64, len(turns)), make([]float64, len(turns))
	for i, t := range turns {
		rates[i], cpus[i] = t.rate, t.cpu
	}
	slices.Sort(rates)
	slices.Sort(cpus)
	return turn{rates[len(rates)/2], cpus[len(cpus)/2]}
}

// measure measures a turn, which lasts as long as wait. Calls returns the number of calls so far.
func measure(b *testing.B, calls func() int64, wait func()) turn {
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	first, used, began := calls(), cpu(), time.Now()
	wait()
	n := float64(calls() - first)
	return turn{n / time.Since(began).Seconds(), float64((cpu() - used).Microseconds()) / n}
}

// ownLoad measures a turn of a load outside a session.
func ownLoad(b *testing.B, target string) turn {
	conn, err := failover.NewClient(target, live.DefaultSettings().Policy, transport(nil))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	call := trials.Caller(conn, 0)
	if _, err := call(b.Context(), 0); err != nil { // sessions are also measured after their first answer
		b.Fatal(err)
	}
	var calls int64
	plan := workload.Plan{Duration: benchTime, Workers: benchCallers}
	return measure(b, func() int64 { return calls }, func() {
		plan.Run(b.Context(), call, func(workload.Record) { calls++ })
	})
}

// sessionLoad measures a turn of the load of a session.
func (c *testCluster) sessionLoad(b *testing.B, withPage bool) turn {
	settings := live.DefaultSettings()
	settings.Concurrency = benchCallers
	server := &web.Server{Token: web.NewToken()}
	s := New(Config{Cluster: &cluster.Target{Control: []string{c.control}}, Loads: []live.Settings{settings}, OnState: server.Publish})
	server.Session = s
	l, err := web.Listen("127.0.0.1:0", false)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	served, ran := make(chan error, 1), make(chan struct{})
	go func() { served <- server.Serve(ctx, l) }()
	go func() {
		defer close(ran)
		s.Run(ctx)
	}()
	if withPage {
		reply, err := http.Get("http://" + l.Addr().String() + "/api/events?token=" + server.Token)
		if err != nil {
			b.Fatal(err)
		}
		defer reply.Body.Close()
		go func() { _, _ = io.Copy(io.Discard, bufio.NewReader(reply.Body)) }()
	}
	load := s.loads[0]
	for s.State().Loads[0].Total.OK == 0 {
		time.Sleep(time.Millisecond)
	}
	of := measure(b, load.calls.Load, func() { time.Sleep(benchTime) })
	cancel()
	<-ran
	if err := <-served; err != nil {
		b.Error(err)
	}
	return of
}
