package remote

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"google.golang.org/grpc"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// counterd is the path of the replicas' program.
var counterd string

func TestMain(m *testing.M) {
	labtest.Main(m, func(path string) { counterd = path })
}

// ownPolicy is the machines' restart policy before and after a run.
var ownPolicy = restart.Policy{Delay: 3 * time.Second, Backoff: restart.Backoff{Factor: 2, Max: time.Minute}, Limit: restart.Limit{Exits: 7}}

// machine runs a supervisor with a control service and replicas of the given names, which crash at
// their first request until their faults are changed. It returns the address of the control
// service.
func machine(t *testing.T, names ...string) string {
	t.Helper()
	lock, addrs, err := lab.Claim(len(names) + 2) // two more for Scale
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	ready := make(chan struct{}, len(names))
	s, err := supervisor.New(supervisor.Config{
		Groups: []spec.Group{{
			Name: "counter", Count: len(names), Policy: ownPolicy,
			Replica: func(i int) spec.Replica {
				if i >= len(addrs) {
					return spec.Replica{} // invalid, so that Scale fails
				}
				name := fmt.Sprintf("more-%d", i)
				if i < len(names) {
					name = names[i]
				}
				return spec.Replica{
					Name: name, Addr: addrs[i], StopTimeout: 2 * time.Minute, StartTimeout: 2 * time.Minute,
					Args:  []string{counterd, "--addr=" + addrs[i], "--replica=" + name, "--p-crash=1"},
					Ready: spec.Probe{Kind: spec.ProbeTCP, Period: spec.MinPeriod},
				}
			},
		}},
		Stay: true,
		OnEvent: func(e event.Event) {
			if e.Kind == event.KindReady && e.Incarnation == 1 && slices.Contains(names, e.Replica) {
				ready <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended, served := make(chan error, 1), make(chan error, 1)
	serving, stopServing := context.WithCancel(context.Background())
	go func() { ended <- s.Run(ctx) }()
	go func() { served <- (&control.Server{Supervisor: s}).Serve(serving, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stopServing()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for range names {
		select {
		case <-ready:
		case <-time.After(2 * time.Minute):
			t.Fatal("the replicas are not ready")
		}
	}
	return l.Addr().String()
}

// run runs a design on an engine and returns its records. It fails the test if a check of the
// records fails.
func run(t *testing.T, e trials.Engine, d *design.Design) *record.Run {
	t.Helper()
	dir, err := (&trials.Run{Engine: e, Runs: t.TempDir()}).Do(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range seen.Trials {
		for _, v := range check.Trial(trial) {
			t.Errorf("trial %d: %s: %s", trial.Number, v.Check, v.Detail)
		}
	}
	return seen
}

// target returns the cluster of the supervisors at the given addresses.
func target(control ...string) cluster.Target { return cluster.Target{Control: control} }

// skewed is an engine whose supervisors' clocks are wrong: the first by one hour, the second by
// two, and so on.
type skewed struct{ *Engine }

func (s skewed) Prepare(ctx context.Context, d *design.Design) error {
	if err := s.Engine.Prepare(ctx, d); err != nil {
		return err
	}
	for i, one := range s.cluster.Supervisors {
		one.SupervisorClient = &skewedClient{one.SupervisorClient, time.Duration(i+1) * time.Hour}
	}
	return nil
}

// skewedClient shifts the times that a supervisor reports.
type skewedClient struct {
	supervisorv1.SupervisorClient
	by time.Duration
}

func (c *skewedClient) Get(ctx context.Context, req *supervisorv1.GetRequest, o ...grpc.CallOption) (*supervisorv1.GetResponse, error) {
	reply, err := c.SupervisorClient.Get(ctx, req, o...)
	if err == nil {
		reply.Status.Time = timestamppb.New(reply.Status.Time.AsTime().Add(c.by))
	}
	return reply, err
}

func (c *skewedClient) Watch(ctx context.Context, req *supervisorv1.WatchRequest, o ...grpc.CallOption) (grpc.ServerStreamingClient[supervisorv1.WatchResponse], error) {
	stream, err := c.SupervisorClient.Watch(ctx, req, o...)
	return &skewedStream{stream, c.by}, err
}

type skewedStream struct {
	grpc.ServerStreamingClient[supervisorv1.WatchResponse]
	by time.Duration
}

func (s *skewedStream) Recv() (*supervisorv1.WatchResponse, error) {
	reply, err := s.ServerStreamingClient.Recv()
	if err == nil {
		reply.Event.Time = timestamppb.New(reply.Event.Time.AsTime().Add(s.by))
	}
	return reply, err
}
