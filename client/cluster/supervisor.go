package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/transport"
)

// Supervisor is a supervisor of the cluster, with the methods of its control service.
type Supervisor struct {
	supervisorv1.SupervisorClient
	// Addr is where it is reached, HOST:PORT or unix:///PATH.
	Addr string

	host string // of Addr; empty: this machine
	name string // of the host, where Addr has an address that was looked up
	conn *grpc.ClientConn

	listed []*supervisorv1.Status // its replicas, when they were last listed
}

func newSupervisor(e endpoint, c credentials.TransportCredentials) (*Supervisor, error) {
	s := &Supervisor{Addr: e.addr, name: e.name}
	target := e.addr
	if host, _, err := net.SplitHostPort(e.addr); err == nil && !strings.HasPrefix(e.addr, unixScheme) {
		s.host, target = host, "passthrough:///"+e.addr
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(c), grpc.WithDisableServiceConfig(), grpc.WithNoProxy()}
	conn, err := grpc.NewClient(target, append(options, s.Authority()...)...)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", e.addr, err)
	}
	s.conn, s.SupervisorClient = conn, supervisorv1.NewSupervisorClient(conn)
	return s, nil
}

// Authority are the options of a connection to the supervisor's host, or to a replica there, whose
// certificate has the host's name and not the address that was looked up.
func (s *Supervisor) Authority() []grpc.DialOption {
	if s.name == "" {
		return nil
	}
	return []grpc.DialOption{grpc.WithAuthority(s.name)}
}

// reach returns where a host is reached that the supervisor calls so: what listens at all
// addresses, or at those of the supervisor's own machine, is reached where the supervisor is.
func (s *Supervisor) reach(host string) string {
	ip := net.ParseIP(host)
	switch own := host == "" || host == "localhost" || ip.IsUnspecified() || ip.IsLoopback(); {
	case !own:
		return host
	case s.host == "" && (ip == nil || ip.IsUnspecified()):
		return "127.0.0.1"
	case s.host == "", ip.IsLoopback() && net.ParseIP(s.host).IsLoopback():
		return host
	}
	return s.host
}

// Failure returns an error of a call in a line without gRPC's jargon; nil for nil.
func (s *Supervisor) Failure(err error) error {
	if err == nil {
		return nil
	}
	of := status.Convert(err)
	switch of.Code() {
	case codes.Unavailable:
		return fmt.Errorf("no supervisor answers at %s: %s", s.Addr, transport.Plain(of.Message()))
	case codes.Unimplemented:
		return fmt.Errorf("what answers at %s is no supervisor: %s", s.Addr, of.Message())
	case codes.DeadlineExceeded:
		return fmt.Errorf("the supervisor at %s does not answer in time", s.Addr)
	}
	return fmt.Errorf("the supervisor at %s: %s", s.Addr, strings.TrimPrefix(of.Message(), `group "": `)) // the only one, which has no name
}

// Watch returns the events of the supervisor from the one after a sequence number on, as they
// happen, until ctx ends; then it ends without an error. Nil stands for the next event from now on:
// started, which may be nil, is called as soon as none can be missed. A connection that breaks is
// made again, and the events go on where they had ended. Any other end of them is an error. Their
// times are by the clock of the supervisor, see [Clock].
func (s *Supervisor) Watch(ctx context.Context, after *uint64, started func()) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for {
			err := s.watch(ctx, after, started, func(e event.Event) bool {
				after, started = &e.Sequence, nil
				return yield(e, nil)
			})
			switch {
			case ctx.Err() != nil || errors.Is(err, errEnough):
				return
			case status.Code(err) != codes.Unavailable || after == nil:
				yield(event.Event{}, s.Failure(err))
				return
			}
			select {
			case <-time.After(retryDelay):
			case <-ctx.Done():
			}
		}
	}
}

// retryDelay is between a stream of events that broke and the next one.
const retryDelay = 100 * time.Millisecond

// errEnough ends a stream that is not read further.
var errEnough = errors.New("enough")

// watch reads one stream of events.
func (s *Supervisor) watch(ctx context.Context, after *uint64, started func(), take func(event.Event) bool) error {
	stream, err := s.SupervisorClient.Watch(ctx, &supervisorv1.WatchRequest{After: after}, grpc.WaitForReady(after != nil))
	if err == nil {
		_, err = stream.Header()
	}
	if err == nil && started != nil {
		started()
	}
	for err == nil {
		var reply *supervisorv1.WatchResponse
		if reply, err = stream.Recv(); err == nil && !take(eventOf(reply.GetEvent())) {
			return errEnough
		}
	}
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Aborted, "it has ended")
	}
	return err
}

// eventOf returns the event that a message is of. The enum of kinds has the numbers of event.Kind.
func eventOf(m *supervisorv1.Event) event.Event {
	e := event.Event{
		Sequence: m.GetSequence(), Kind: event.Kind(m.GetKind()), Time: m.GetTime().AsTime(), Elapsed: m.GetElapsed().AsDuration(),
		Replica: m.GetReplica(), Group: m.GetGroup(), Incarnation: int(m.GetIncarnation()), PID: int(m.GetPid()),
		After: m.GetAfter().AsDuration(), Signal: signalOf(m.GetSignal()), Reason: m.GetReason(), Output: m.GetOutput(), Lost: m.GetLost(),
		Err: errorOf(m.GetError()),
	}
	if x := m.GetExit(); x != nil {
		e.Exit = restart.Exit{
			Code: int(x.GetCode()), Signal: signalOf(x.GetSignal()), Uptime: x.GetUptime().AsDuration(), Ready: x.GetReady().AsDuration(),
			Err: errorOf(x.GetError()),
		}
	}
	if n := m.GetNext(); n != nil {
		e.Next = restart.Decision{Relaunch: n.GetRelaunch(), GiveUp: n.GetGiveUp(), Delay: n.GetDelay().AsDuration(), Reason: n.GetReason()}
	}
	return e
}

// signalOf returns the signal of a name, or of a number where it has no name; zero for none.
func signalOf(name string) syscall.Signal {
	if s := unix.SignalNum(name); s != 0 {
		return s
	}
	n, _ := strconv.Atoi(name)
	return syscall.Signal(n)
}

func errorOf(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}
