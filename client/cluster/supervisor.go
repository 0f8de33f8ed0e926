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

// Supervisor is a connection to a supervisor of the cluster, with the methods of its control
// service.
type Supervisor struct {
	supervisorv1.SupervisorClient
	// Addr is the address, HOST:PORT or unix:///PATH.
	Addr string

	host string // the host of Addr; empty for this machine
	name string // the DNS name from which Addr was looked up, or empty
	conn *grpc.ClientConn

	listed []*supervisorv1.Status // its replicas as of the last Refresh
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

// Authority returns the dial options for a connection to the supervisor or a replica on its host.
// If the address was looked up, they make TLS verify the DNS name instead.
func (s *Supervisor) Authority() []grpc.DialOption {
	if s.name == "" {
		return nil
	}
	return []grpc.DialOption{grpc.WithAuthority(s.name)}
}

// reach returns how this program reaches a host that the supervisor reports: an unspecified or
// loopback address means the host of the supervisor.
func (s *Supervisor) reach(host string) string {
	ip := net.ParseIP(host)
	switch local := host == "" || host == "localhost" || ip.IsUnspecified() || ip.IsLoopback(); {
	case !local:
		return host
	case s.host == "" && (ip == nil || ip.IsUnspecified()):
		return "127.0.0.1"
	case s.host == "", ip.IsLoopback() && net.ParseIP(s.host).IsLoopback():
		return host
	}
	return s.host
}

// Failure returns the error of a call to the supervisor as one line without gRPC's jargon. It
// returns nil for nil.
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
	return fmt.Errorf("the supervisor at %s: %s", s.Addr, strings.TrimPrefix(of.Message(), `group "": `)) // the prefix of errors about the only group, which has no name
}

// Watch returns the events of the supervisor as they happen, beginning after the sequence number
// *after, or with the next event if after is nil. started, unless nil, is called once no further
// event can be missed. Watch ends without an error when ctx ends. If the connection breaks after an
// event or a sequence number is known, Watch reconnects and continues without a gap; any other end
// is yielded as an error. Times of events are those of the supervisor's clock; see [Clock].
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

// retryDelay is the pause between a stream of events that broke and the next.
const retryDelay = 100 * time.Millisecond

// errEnough ends a stream that the caller does not read any further.
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
		return status.Error(codes.Aborted, "the stream of events has ended")
	}
	return err
}

// eventOf converts an event. The protobuf enum has the numbers of event.Kind.
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

// signalOf parses the name or number of a signal. It returns zero if there is none.
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
