package check_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	counterv1 "example.com/crashlab/gen/counter/v1"
	"example.com/crashlab/services/fault"
)

// nth says that a bug affects every nth request.
const nth = 10

// bugs has the bugs of a Counter by name. Run under such a name, the test binary is a replica with
// the bug.
var bugs = map[string]func(*broken) uint64{
	"none": func(b *broken) uint64 { return b.count.Add(1) },
	"lost update": func(b *broken) uint64 { // concurrent requests read the same count
		n := b.count.Load()
		time.Sleep(time.Millisecond)
		b.count.Store(n + 1)
		return n + 1
	},
	"duplicated reply": func(b *broken) uint64 {
		n := b.count.Add(1)
		if n%nth == 0 {
			return n - 1
		}
		return n
	},
	"unnoticed reset": func(b *broken) uint64 {
		n := b.count.Add(1)
		if n == nth {
			b.count.Store(0)
		}
		return n
	},
	"double count": func(b *broken) uint64 {
		n := b.count.Add(1)
		if n%nth == 0 {
			return b.count.Add(1)
		}
		return n
	},
}

// broken is a Counter with a bug.
type broken struct {
	counterv1.UnimplementedCounterServer
	replica     string
	incarnation uint64
	count       atomic.Uint64
	add         func(*broken) uint64
}

func (b *broken) Get(context.Context, *counterv1.GetRequest) (*counterv1.GetResponse, error) {
	return &counterv1.GetResponse{Value: b.add(b), Replica: b.replica, Incarnation: b.incarnation}, nil
}

// serveBroken is counterd with a broken Counter and the flags that the lab uses. It returns only if
// it cannot serve.
func serveBroken(add func(*broken) uint64) error {
	addr, name := flag.String("addr", "", ""), flag.String("replica", "", "")
	seed := flag.Uint64("seed", 0, "")
	var faults fault.Faults
	flag.Float64Var(&faults.CrashProbability, "p-crash", 0, "")
	flag.Func("crash-point", "", func(s string) error { return faults.CrashPoint.UnmarshalText([]byte(s)) })
	flag.Func("service-time", "", func(s string) error { return faults.ServiceTime.UnmarshalText([]byte(s)) })
	flag.Bool("log-json", false, "")
	flag.Parse()
	incarnation, err := strconv.ParseUint(os.Getenv("CRASHLAB_INCARNATION"), 10, 64)
	if err != nil {
		return err
	}

	b := &broken{replica: *name, incarnation: incarnation, add: add}
	report := func(c fault.Counts, more string) {
		fmt.Fprintf(os.Stderr, `{"incarnation": %d, "arrived": %d, "counted": %d, "in_flight": %d%s}`+"\n",
			incarnation, c.Arrived, b.count.Load(), c.InFlight, more)
	}
	injector, err := fault.New(fault.Plan{Seed: *seed, Replica: *name, Incarnation: incarnation}, faults, func(c fault.Crash) {
		report(c.Counts, fmt.Sprintf(`, "request": %d`, c.Request))
		os.Exit(1)
	})
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(injector.Unary(counterv1.Counter_ServiceDesc.ServiceName)))
	counterv1.RegisterCounterServer(server, b)
	healthv1.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	go func() {
		<-stopped
		server.GracefulStop()
		report(injector.Freeze(), "")
		os.Exit(0)
	}()
	if err := server.Serve(listener); err != nil {
		return err
	}
	select {} // until the goroutine above exits
}

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); bugs[name] != nil {
		fmt.Fprintln(os.Stderr, serveBroken(bugs[name]))
		os.Exit(1)
	}
	// By default a program with the race detector sleeps for a second when it exits, unlike a
	// crash.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}
