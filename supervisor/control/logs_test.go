package control

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/spec"
)

func TestLogs(t *testing.T) {
	f := control(t, nil, group("a", 1, "sh", "-c", "seq 3; printf '\\377\\n'; exec sleep 300"))
	stream, err := f.Logs(f.ctx, &supervisorv1.LogsRequest{Replica: "a0", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) < 8 {
		reply, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, reply.GetText()...)
	}
	if string(got) != "1\n2\n3\n\xff\n" {
		t.Errorf("got %q", got)
	}
	last, err := f.Logs(f.ctx, &supervisorv1.LogsRequest{Replica: "a0", Lines: new(uint32(2))})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := last.Recv(); err != nil || string(reply.GetText()) != "3\n\xff\n" {
		t.Errorf("got %q, %v", reply.GetText(), err)
	}
	if _, err := last.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	unknown, err := f.Logs(f.ctx, &supervisorv1.LogsRequest{Replica: "b"})
	if err == nil {
		_, err = unknown.Recv()
	}
	if status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}
	f.halt()
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v when the supervisor ended, want the end", err)
	}
}

func TestReopenAndSinks(t *testing.T) {
	var failed error
	s, err := supervisor.New(supervisor.Config{Groups: []spec.Group{group("a", 1, "sleep", "300")}, Stay: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Supervisor: s, ctx: patient(t)}
	if f.conn, err = NewClient(l.Addr().String(), nil); err != nil {
		t.Fatal(err)
	}
	defer f.conn.Close()
	f.SupervisorClient = supervisorv1.NewSupervisorClient(f.conn)
	f.serve(t, Server{
		Supervisor: s, Reopen: func(context.Context) error { return failed },
		Sinks: func() []Sink { return []Sink{{Name: "stdout", Lost: 3}, {Name: "events", Err: io.ErrClosedPipe}} },
	}, l)
	defer f.end()
	for failed = range map[error]bool{nil: true, io.ErrShortWrite: true} {
		want := codes.OK
		if failed != nil {
			want = codes.FailedPrecondition
		}
		if _, err := f.Reopen(f.ctx, new(supervisorv1.ReopenRequest)); status.Code(err) != want {
			t.Errorf("%v became %v", failed, err)
		}
	}
	reply, err := f.SupervisorClient.List(f.ctx, new(supervisorv1.ListRequest))
	if err != nil {
		t.Fatal(err)
	}
	sinks := reply.GetSinks()
	if len(sinks) != 2 || sinks[0].GetLost() != 3 || sinks[0].GetError() != "" || sinks[1].GetError() != io.ErrClosedPipe.Error() {
		t.Errorf("got %v", sinks)
	}
}
