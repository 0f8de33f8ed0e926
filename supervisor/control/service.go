package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// service implements supervisor.v1.Supervisor.
type service struct {
	supervisorv1.UnimplementedSupervisorServer
	supervisor *supervisor.Supervisor
	reload     func(context.Context) error
	reopen     func(context.Context) error
	sinks      func() []Sink
}

func (s *service) List(_ context.Context, req *supervisorv1.ListRequest) (*supervisorv1.ListResponse, error) {
	reply := new(supervisorv1.ListResponse)
	for _, one := range s.supervisor.List() {
		reply.Replicas = append(reply.Replicas, statusWithUsage(one, req.GetUsage()))
	}
	if s.sinks != nil {
		for _, one := range s.sinks() {
			m := &supervisorv1.Sink{Name: one.Name, Lost: one.Lost}
			if one.Err != nil {
				m.Error = text(one.Err.Error())
			}
			reply.Sinks = append(reply.Sinks, m)
		}
	}
	return reply, nil
}

func (s *service) Get(_ context.Context, req *supervisorv1.GetRequest) (*supervisorv1.GetResponse, error) {
	of, err := s.supervisor.Get(req.GetReplica())
	if err != nil {
		return nil, statusError(err, codes.FailedPrecondition)
	}
	return &supervisorv1.GetResponse{Status: statusWithUsage(of, req.GetUsage())}, nil
}

func (s *service) Start(_ context.Context, req *supervisorv1.StartRequest) (*supervisorv1.StartResponse, error) {
	replicas, err := s.command(req, s.supervisor.Start)
	return &supervisorv1.StartResponse{Replicas: replicas}, err
}

func (s *service) Stop(ctx context.Context, req *supervisorv1.StopRequest) (*supervisorv1.StopResponse, error) {
	replicas, err := s.command(req, func(names ...string) error { return s.supervisor.Stop(ctx, names...) })
	return &supervisorv1.StopResponse{Replicas: replicas}, err
}

func (s *service) Restart(ctx context.Context, req *supervisorv1.RestartRequest) (*supervisorv1.RestartResponse, error) {
	replicas, err := s.command(req, func(names ...string) error { return s.supervisor.Restart(ctx, names...) })
	return &supervisorv1.RestartResponse{Replicas: replicas}, err
}

func (s *service) Signal(_ context.Context, req *supervisorv1.SignalRequest) (*supervisorv1.SignalResponse, error) {
	sig, ok := signals[req.GetSignal()]
	if !ok {
		return nil, status.Errorf(codes.InvalidArgument, "signal %v: want SIGNAL_KILL, SIGNAL_STOP, SIGNAL_CONT or another of the enum", req.GetSignal())
	}
	_, err := s.command(req, func(names ...string) error { return s.supervisor.Signal(sig, names...) })
	return new(supervisorv1.SignalResponse), err
}

func (s *service) Scale(ctx context.Context, req *supervisorv1.ScaleRequest) (*supervisorv1.ScaleResponse, error) {
	if req.Count == nil || req.GetCount() > spec.MaxCount {
		return nil, status.Errorf(codes.InvalidArgument, "count %s: want 0 to %d", given(req.Count), spec.MaxCount)
	}
	group, err := s.group(req.GetGroup())
	if err == nil {
		err = s.supervisor.Scale(ctx, group, int(req.GetCount()))
	}
	if err != nil {
		return nil, statusError(err, codes.InvalidArgument)
	}
	return &supervisorv1.ScaleResponse{Replicas: s.statuses(func(_, of string) bool { return of == group })}, nil
}

func given(n *uint32) string {
	if n == nil {
		return "is not given"
	}
	return fmt.Sprint(*n)
}

func (s *service) SetPolicy(ctx context.Context, req *supervisorv1.SetPolicyRequest) (*supervisorv1.SetPolicyResponse, error) {
	var now restart.Policy
	group, err := s.group(req.GetGroup())
	if err == nil {
		err = merge(&now, req.GetPolicy()) // whether it fails does not depend on the policy
	}
	if err == nil {
		err = s.supervisor.ChangePolicy(ctx, group, func(p *restart.Policy) {
			_ = merge(p, req.GetPolicy())
			now = *p
		})
	}
	if err != nil {
		return nil, statusError(err, codes.InvalidArgument)
	}
	return &supervisorv1.SetPolicyResponse{Policy: policyMessage(now)}, nil
}

func (s *service) Reload(ctx context.Context, _ *supervisorv1.ReloadRequest) (*supervisorv1.ReloadResponse, error) {
	if s.reload == nil {
		return nil, status.Error(codes.FailedPrecondition, "reload: this supervisor was started without a cluster file")
	}
	if err := s.reload(ctx); err != nil {
		return nil, statusError(err, codes.InvalidArgument)
	}
	return &supervisorv1.ReloadResponse{Replicas: s.statuses(everyone)}, nil
}

func (s *service) Reopen(ctx context.Context, _ *supervisorv1.ReopenRequest) (*supervisorv1.ReopenResponse, error) {
	if s.reopen != nil {
		if err := s.reopen(ctx); err != nil {
			return nil, statusError(err, codes.FailedPrecondition)
		}
	}
	return new(supervisorv1.ReopenResponse), nil
}

// request is a request that names replicas.
type request interface {
	GetNames() []string
	GetAll() bool
}

// requestedNames returns the names in a request, or none if it is for all replicas.
func requestedNames(req request) ([]string, error) {
	names := req.GetNames()
	if (len(names) > 0) == req.GetAll() || slices.Contains(names, "") {
		return nil, status.Errorf(codes.InvalidArgument, "names %q, all %v: want names of replicas or groups, or all", names, req.GetAll())
	}
	return names, nil
}

// among returns a function that reports whether a replica or its group is among names, which is
// always true if there are none.
func among(names []string) func(replica, group string) bool {
	return func(replica, group string) bool {
		return len(names) == 0 || slices.Contains(names, replica) || slices.Contains(names, group)
	}
}

func everyone(_, _ string) bool { return true }

// command calls do with the names in a request, and returns the status of those replicas
// afterwards.
func (s *service) command(req request, do func(names ...string) error) ([]*supervisorv1.Status, error) {
	names, err := requestedNames(req)
	if err != nil {
		return nil, err
	}
	if err := do(names...); err != nil {
		return nil, statusError(err, codes.FailedPrecondition)
	}
	return s.statuses(among(names)), nil
}

// group returns the name of a group. The empty name stands for the group if there is only one.
func (s *service) group(name string) (string, error) {
	groups := s.supervisor.Current()
	if name == "" && len(groups) == 1 {
		return groups[0].Name, nil
	}
	var names []string
	for _, g := range groups {
		if g.Name == name {
			return name, nil
		}
		names = append(names, g.Name)
	}
	switch {
	case name == "":
		return "", fmt.Errorf("several groups: want one of %s", strings.Join(names, ", "))
	case len(groups) == 1 && names[0] == "":
		return "", fmt.Errorf("group %q: %w: want none, as the only one has no name", name, supervisor.ErrUnknown)
	}
	return "", fmt.Errorf("group %q: %w: want one of %s", name, supervisor.ErrUnknown, strings.Join(names, ", "))
}

// statuses returns the status of the selected replicas.
func (s *service) statuses(want func(replica, group string) bool) []*supervisorv1.Status {
	var messages []*supervisorv1.Status
	all := s.supervisor.List()
	now := time.Now()
	for _, one := range all {
		if want(one.Replica, one.Group) {
			messages = append(messages, statusMessage(one, now))
		}
	}
	return messages
}

// statusError returns the gRPC error for an error of the supervisor, with the code otherwise if the
// error has no code of its own.
func statusError(err error, otherwise codes.Code) error {
	code := otherwise
	for _, known := range []struct {
		err  error
		code codes.Code
	}{
		{supervisor.ErrUnknown, codes.NotFound},
		{supervisor.ErrNotRunning, codes.FailedPrecondition},
		{supervisor.ErrNotReady, codes.FailedPrecondition},
		{supervisor.ErrClosed, codes.FailedPrecondition},
		{supervisor.ErrSuperseded, codes.Aborted},
		{event.ErrForgotten, codes.OutOfRange},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
	} {
		if errors.Is(err, known.err) {
			code = known.code
			break
		}
	}
	return status.Error(code, text(err.Error()))
}
