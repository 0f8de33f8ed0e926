package fault

import (
	"cmp"
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	faultv1 "example.com/crashlab/gen/fault/v1"
)

// Service is the Fault service: it reads and changes the faults of an [Injector] at run time.
// Create it with [NewService].
type Service struct {
	faultv1.UnimplementedFaultServer
	injector *Injector
}

// NewService returns the Fault service of the injector.
func NewService(injector *Injector) *Service { return &Service{injector: injector} }

// Get returns the current faults. It never fails.
func (s *Service) Get(context.Context, *faultv1.GetRequest) (*faultv1.GetResponse, error) {
	return &faultv1.GetResponse{Faults: s.message(s.injector.setting.Load())}, nil
}

// Set changes the faults that the request names and returns all faults. A value that is not allowed
// changes nothing; the error is INVALID_ARGUMENT and names the field, the value and what is
// allowed.
func (s *Service) Set(_ context.Context, req *faultv1.SetRequest) (*faultv1.SetResponse, error) {
	now, err := s.injector.change(func(f *Faults, p *Plan) error {
		if err := merge(f, req); err != nil || req.Plan == nil {
			return err
		}
		return s.replan(p, req.GetPlan())
	})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &faultv1.SetResponse{Faults: s.message(now)}, nil
}

// replan sets the plan to that of the message.
func (s *Service) replan(p *Plan, m *faultv1.Plan) error {
	initial, first := s.injector.initial, cmp.Or(m.GetFirstIncarnation(), 1)
	if first > initial.Incarnation {
		return fmt.Errorf("plan.first_incarnation %d: want 0 to %d, which is the process's", first, initial.Incarnation)
	}
	*p = Plan{Seed: m.GetSeed(), Replica: cmp.Or(m.GetReplica(), initial.Replica), Incarnation: initial.Incarnation - first + 1}
	return nil
}

// merge writes the fields that req names into f. Validate checks the ranges of numbers.
func merge(f *Faults, req *faultv1.SetRequest) error {
	if req.CrashProbability != nil {
		f.CrashProbability = req.GetCrashProbability()
	}
	switch req.GetCrashPoint() {
	case faultv1.CrashPoint_CRASH_POINT_UNSPECIFIED:
	case faultv1.CrashPoint_CRASH_POINT_ARRIVAL:
		f.CrashPoint = CrashPointArrival
	case faultv1.CrashPoint_CRASH_POINT_REPLY:
		f.CrashPoint = CrashPointReply
	default:
		return fmt.Errorf("crash_point %d: want CRASH_POINT_ARRIVAL or CRASH_POINT_REPLY", req.GetCrashPoint())
	}
	if req.ServiceTime != nil {
		if err := f.ServiceTime.UnmarshalText([]byte(req.GetServiceTime())); err != nil {
			return fmt.Errorf("service_time %w", err)
		}
	}
	if req.Hang != nil {
		f.Hang = req.GetHang()
	}
	if req.ErrorProbability != nil {
		f.ErrorProbability = req.GetErrorProbability()
	}
	if req.ErrorCode != nil {
		code, err := ParseCode(req.GetErrorCode())
		if err != nil {
			return fmt.Errorf("error_code %w", err)
		}
		f.ErrorCode = code
	}
	return nil
}

// Message returns the crash point for messages of the Fault service.
func (p CrashPoint) Message() faultv1.CrashPoint {
	if p == CrashPointReply {
		return faultv1.CrashPoint_CRASH_POINT_REPLY
	}
	return faultv1.CrashPoint_CRASH_POINT_ARRIVAL
}

func (s *Service) message(in *setting) *faultv1.Faults {
	f, p := in.faults, in.plan
	return &faultv1.Faults{
		CrashProbability: f.CrashProbability,
		CrashPoint:       f.CrashPoint.Message(),
		ServiceTime:      f.ServiceTime.String(),
		Hang:             f.Hang,
		ErrorProbability: f.ErrorProbability,
		ErrorCode:        codeName(f.errorCode()),
		Plan:             &faultv1.Plan{Seed: p.Seed, Replica: p.Replica, FirstIncarnation: s.injector.initial.Incarnation - p.Incarnation + 1},
		Capacity:         uint32(f.Capacity),
	}
}
