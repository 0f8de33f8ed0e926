package fault

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Injector injects the faults in force into the requests of one server. Make it with [New].
type Injector struct {
	plan     Plan
	onCrash  func(Crash)
	crashing sync.Once
	arrivals atomic.Uint64

	changing sync.Mutex // held from reading to storing setting, so that no change is lost
	setting  atomic.Pointer[setting]
}

// setting is what is in force between two changes.
type setting struct {
	faults   Faults
	replaced chan struct{} // closed once another setting is in force
}

// Crash is the event of a simulated crash.
type Crash struct {
	// Request is the arrival number of the request that crashed, from 1.
	Request uint64
	// Method is its full method, such as "/counter.v1.Counter/Get".
	Method string
	// Point is where the crash struck.
	Point CrashPoint
}

// New returns an Injector of the initial faults, or the error of their Validate.
//
// Crash is called with the first crash, at most once, and must end the process; os.Exit does. Until it has, every
// request that crashes waits, so none of them is answered. Should it return, these and all later requests that crash
// are answered with UNAVAILABLE, at their crash point, and the server goes on.
func New(plan Plan, initial Faults, crash func(Crash)) (*Injector, error) {
	if err := initial.Validate(); err != nil {
		return nil, err
	}
	i := &Injector{plan: plan, onCrash: crash}
	i.setting.Store(&setting{faults: initial, replaced: make(chan struct{})})
	return i, nil
}

// Unary returns the interceptor that injects the faults into the methods of the named services, such as
// "counter.v1.Counter". Requests of any other service pass untouched and uncounted.
//
// A request meets the faults that are in force as it arrives, in this order: crash at arrival, hang, error, service
// time, the work, crash at reply. One that ends earlier, by an error or because its context has ended, does no work and
// does not crash at reply.
func (i *Injector) Unary(services ...string) grpc.UnaryServerInterceptor {
	hit := make(map[string]bool, len(services))
	for _, service := range services {
		hit[service] = true
	}
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		service, _, _ := strings.Cut(strings.TrimPrefix(info.FullMethod, "/"), "/")
		if !hit[service] {
			return handler(ctx, req)
		}
		return i.inject(ctx, req, info, handler)
	}
}

func (i *Injector) inject(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	k := i.arrivals.Add(1)
	draws := i.plan.Draws(k)
	current := i.setting.Load()
	faults := current.faults

	crashes := draws.Crash < faults.CrashProbability
	crash := Crash{Request: k, Method: info.FullMethod, Point: faults.CrashPoint}
	if crashes && crash.Point == Arrival {
		return nil, i.crash(crash)
	}
	if err := i.hang(ctx, current); err != nil {
		return nil, err
	}
	if draws.Error < faults.ErrorProbability {
		return nil, status.Error(faults.errorCode(), "fault: injected error")
	}
	if err := wait(ctx, faults.ServiceTime.Quantile(draws.ServiceTime)); err != nil {
		return nil, err
	}
	reply, err := handler(ctx, req)
	if crashes {
		return nil, i.crash(crash)
	}
	return reply, err
}

// crash returns only if the callback does.
func (i *Injector) crash(c Crash) error {
	i.crashing.Do(func() { i.onCrash(c) })
	return status.Error(codes.Unavailable, "fault: simulated crash")
}

// hang returns when Hang is false, in current or in a setting that replaces it, or with the status of ctx when that ends
// first.
func (i *Injector) hang(ctx context.Context, current *setting) error {
	for current.faults.Hang {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-current.replaced:
		}
		current = i.setting.Load()
	}
	return nil
}

// wait returns after d, or with the status of ctx when that ends first.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
		return nil
	}
}

// change puts into force what edit makes of the faults and returns it. An error, of edit or of Validate, changes nothing.
func (i *Injector) change(edit func(*Faults) error) (Faults, error) {
	i.changing.Lock()
	defer i.changing.Unlock()

	old := i.setting.Load()
	faults := old.faults
	if err := edit(&faults); err != nil {
		return Faults{}, err
	}
	if err := faults.Validate(); err != nil {
		return Faults{}, err
	}
	i.setting.Store(&setting{faults: faults, replaced: make(chan struct{})})
	close(old.replaced)
	return faults, nil
}
