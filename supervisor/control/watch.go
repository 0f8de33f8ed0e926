package control

import (
	"context"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/event"
)

func (s *service) Watch(req *supervisorv1.WatchRequest, stream grpc.ServerStreamingServer[supervisorv1.WatchResponse]) error {
	after := s.supervisor.Sequence()
	if req.After != nil {
		after = req.GetAfter()
	}
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	_, err := s.sendEvents(stream.Context(), after, math.MaxUint64, func(e event.Event) error {
		return stream.Send(&supervisorv1.WatchResponse{Event: eventMessage(e)})
	})
	if err == nil {
		err = status.FromContextError(stream.Context().Err()).Err()
	}
	return err
}

func (s *service) RollingRestart(req *supervisorv1.RollingRestartRequest, stream grpc.ServerStreamingServer[supervisorv1.RollingRestartResponse]) error {
	names, err := requestedNames(req)
	if err != nil {
		return err
	}
	after := s.supervisor.Sequence()
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	concerned := among(names)
	send := func(e event.Event) error {
		if !concerned(e.Replica, e.Group) {
			return nil
		}
		return stream.Send(&supervisorv1.RollingRestartResponse{Event: eventMessage(e)})
	}
	ctx := stream.Context()
	during, ended := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() {
		defer ended()
		result <- s.supervisor.RollingRestart(ctx, names...)
	}()
	after, sendErr := s.sendEvents(during, after, math.MaxUint64, send)
	if err := <-result; err != nil {
		// The events that led to the error come first, if the caller still listens.
		_, _ = s.sendEvents(ctx, after, s.supervisor.Sequence(), send)
		return statusError(err, codes.FailedPrecondition)
	}
	if sendErr == nil {
		_, sendErr = s.sendEvents(ctx, after, s.supervisor.Sequence(), send)
	}
	return sendErr
}

// sendEvents calls send for the events after one sequence number and up to another, and returns the
// number of the last one. It returns nil if ctx ends first.
func (s *service) sendEvents(ctx context.Context, after, until uint64, send func(event.Event) error) (uint64, error) {
	if after >= until {
		return after, nil
	}
	for e, err := range s.supervisor.Watch(ctx, after) {
		if err != nil {
			return after, statusError(err, codes.OutOfRange)
		}
		if err := send(e); err != nil {
			return after, err
		}
		if after = e.Sequence; after >= until {
			break
		}
	}
	return after, nil
}

func (s *service) Logs(req *supervisorv1.LogsRequest, stream grpc.ServerStreamingServer[supervisorv1.LogsResponse]) error {
	last := math.MaxInt32 // all that are kept
	if req.Lines != nil {
		last = int(min(req.GetLines(), math.MaxInt32))
	}
	lines, err := s.supervisor.Output(stream.Context(), req.GetReplica(), last, req.GetFollow())
	if err != nil {
		return statusError(err, codes.InvalidArgument)
	}
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	for some := range lines {
		if err := stream.Send(&supervisorv1.LogsResponse{Text: some.Text, Missed: some.Missed}); err != nil {
			return err
		}
	}
	return status.FromContextError(stream.Context().Err()).Err()
}
