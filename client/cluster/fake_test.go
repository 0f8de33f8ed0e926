package cluster

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// fake is a supervisor with the given replicas and events.
type fake struct {
	supervisorv1.UnimplementedSupervisorServer
	replicas []*supervisorv1.Status
	watch    func(after *uint64, send func(*supervisorv1.Event) error) error
}

func (f *fake) List(context.Context, *supervisorv1.ListRequest) (*supervisorv1.ListResponse, error) {
	return &supervisorv1.ListResponse{Replicas: f.replicas}, nil
}

func (f *fake) Watch(req *supervisorv1.WatchRequest, stream grpc.ServerStreamingServer[supervisorv1.WatchResponse]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	return f.watch(req.After, func(e *supervisorv1.Event) error { return stream.Send(&supervisorv1.WatchResponse{Event: e}) })
}

// with returns a fake with replicas NAME=ADDR or GROUP/NAME=ADDR.
func with(replicas ...string) *fake {
	f := new(fake)
	for _, r := range replicas {
		name, addr, _ := strings.Cut(r, "=")
		group, name, ok := strings.Cut(name, "/")
		if !ok {
			group, name = "", group
		}
		f.replicas = append(f.replicas, &supervisorv1.Status{Replica: name, Group: group, Addr: addr})
	}
	return f
}

// serve serves the supervisors, and returns their addresses.
func serve(t *testing.T, supervisors ...*fake) []string {
	t.Helper()
	var addrs []string
	for _, f := range supervisors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		supervisorv1.RegisterSupervisorServer(server, f)
		go server.Serve(l)
		t.Cleanup(server.Stop)
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// clock is a client of a supervisor whose clock is off. there and back return how long the
// directions of a round trip take.
type clock struct {
	supervisorv1.SupervisorClient
	off         func() time.Duration
	there, back func() time.Duration
}

func (c *clock) Get(context.Context, *supervisorv1.GetRequest, ...grpc.CallOption) (*supervisorv1.GetResponse, error) {
	time.Sleep(c.there())
	at := time.Now().Add(c.off())
	time.Sleep(c.back())
	return &supervisorv1.GetResponse{Status: &supervisorv1.Status{Time: timestamppb.New(at)}}, nil
}
