package fault

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Injector injects faults into the requests of one server. Create it with [New].
type Injector struct {
	initial  Plan // the initial plan, with the replica's own name and incarnation
	onCrash  func(Crash)
	crashing sync.Once
	queue    *queue

	counting sync.Mutex // no request arrives or ends while it is held
	counts   Counts

	changing sync.Mutex // held from reading to storing setting, so that no change is lost
	setting  atomic.Pointer[setting]
}

// setting is the state between two changes.
type setting struct {
	faults   Faults
	plan     Plan
	replaced chan struct{} // closed once the next setting is in force
}

// Crash is the event of a simulated crash.
type Crash struct {
	// Request is the arrival number of the request that crashed, from 1.
	Request uint64
	// Method is its full method, such as "/counter.v1.Counter/Get".
	Method string
	// Point is where the crash struck.
	Point CrashPoint
	// Counts are the counts at the crash. The request that crashed has arrived, but is not in
	// flight.
	Counts
}

// Counts count the requests to the services into which an Injector injects faults.
type Counts struct {
	// Arrived is the number of requests that have arrived so far.
	Arrived uint64
	// InFlight is the number of these that have not ended: they hang, queue or are worked on. A
	// request ends when its reply is handed to the server to be sent.
	InFlight uint64
}

// New returns an Injector with the initial faults, or the error of their Validate method.
//
// Crash is called at the first crash, at most once, and must end the process, for example by
// os.Exit. During the call no request arrives or ends, so that no request is answered that counts
// as in flight at the crash. Crash must not call the Injector. If it returns, this request and all
// later ones that crash fail with UNAVAILABLE at their crash point, and the server continues.
func New(plan Plan, initial Faults, crash func(Crash)) (*Injector, error) {
	if err := initial.Validate(); err != nil {
		return nil, err
	}
	i := &Injector{initial: plan, onCrash: crash, queue: newQueue(initial.Capacity)}
	i.setting.Store(&setting{faults: initial, plan: plan, replaced: make(chan struct{})})
	return i, nil
}

// Unary returns an interceptor that injects the faults into the methods of the named services, such
// as "counter.v1.Counter". Requests to other services pass unchanged and are not counted.
//
// A request is subject to the faults at its arrival, in this order: crash at arrival, hang, error,
// the queue for one of the Capacity places, service time, the work, crash at reply. It keeps its
// place from the queue to its end. A request that ends earlier, by an error or because its context
// has ended, does no work and does not crash at reply; if it was queued, it leaves the queue.
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
	k := i.arrive()
	defer i.end()
	current := i.setting.Load()
	faults, draws := current.faults, current.plan.Draws(k)

	crashes := draws.Crash < faults.CrashProbability
	crash := Crash{Request: k, Method: info.FullMethod, Point: faults.CrashPoint}
	if crashes && crash.Point == CrashPointArrival {
		return nil, i.crash(crash)
	}
	if err := i.hang(ctx, current); err != nil {
		return nil, err
	}
	if draws.Error < faults.ErrorProbability {
		return nil, status.Error(faults.errorCode(), "fault: injected error")
	}
	if err := i.queue.enter(ctx); err != nil {
		return nil, err
	}
	defer i.queue.leave()
	if err := wait(ctx, faults.ServiceTime.Quantile(draws.ServiceTime)); err != nil {
		return nil, err
	}
	reply, err := handler(ctx, req)
	if crashes {
		return nil, i.crash(crash)
	}
	return reply, err
}

// arrive returns the number of the request, from 1.
func (i *Injector) arrive() uint64 {
	i.counting.Lock()
	defer i.counting.Unlock()
	i.counts.Arrived++
	i.counts.InFlight++
	return i.counts.Arrived
}

func (i *Injector) end() {
	i.counting.Lock()
	defer i.counting.Unlock()
	i.counts.InFlight--
}

// Freeze returns the counts, and from then on no request arrives or ends, so that the counts remain
// true until the process ends. Call it only once: a second call never returns.
func (i *Injector) Freeze() Counts {
	i.counting.Lock()
	return i.counts
}

// crash calls the callback, and returns only if that does.
func (i *Injector) crash(c Crash) error {
	i.crashing.Do(func() {
		i.counting.Lock()
		defer i.counting.Unlock()
		c.Counts = Counts{i.counts.Arrived, i.counts.InFlight - 1}
		i.onCrash(c)
	})
	return status.Error(codes.Unavailable, "fault: simulated crash")
}

// hang returns when Hang is false, in current or a later setting, or with the status of ctx if that
// ends first.
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

// change applies edit to the faults and the plan, and returns the new setting. An error of edit or
// of Validate changes nothing.
func (i *Injector) change(edit func(*Faults, *Plan) error) (*setting, error) {
	i.changing.Lock()
	defer i.changing.Unlock()

	old := i.setting.Load()
	fresh := &setting{faults: old.faults, plan: old.plan, replaced: make(chan struct{})}
	if err := edit(&fresh.faults, &fresh.plan); err != nil {
		return nil, err
	}
	if err := fresh.faults.Validate(); err != nil {
		return nil, err
	}
	i.setting.Store(fresh)
	close(old.replaced)
	return fresh, nil
}
