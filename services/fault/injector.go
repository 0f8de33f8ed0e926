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

// Injector injects the faults in force into the requests of one server. Make it with [New].
type Injector struct {
	own      Plan // the initial one, with the replica's own name and incarnation
	onCrash  func(Crash)
	crashing sync.Once
	queue    *queue

	counting sync.Mutex // no request arrives or ends while it is held
	counts   Counts

	changing sync.Mutex // held from reading to storing setting, so that no change is lost
	setting  atomic.Pointer[setting]
}

// setting is what is in force between two changes.
type setting struct {
	faults   Faults
	plan     Plan
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
	// Counts are those at the crash. The request that crashed has arrived, and is not among those
	// in flight.
	Counts
}

// Counts are how many requests an Injector has met. Those of services that it spares are not among
// them.
type Counts struct {
	// Arrived is how many requests have arrived, up to now.
	Arrived uint64
	// InFlight is how many of them have not ended: they hang, queue or are worked on. A request
	// ends as its reply is handed to the server to be sent.
	InFlight uint64
}

// New returns an Injector of the initial faults, or the error of their Validate.
//
// Crash is called with the first crash, at most once, and must end the process; os.Exit does. Until
// it has, no request arrives or ends, so none is answered that the Counts of the crash have in
// flight. Crash may not call the Injector. Should it return, this and all later requests that crash
// are answered with UNAVAILABLE, at their crash point, and the server goes on.
func New(plan Plan, initial Faults, crash func(Crash)) (*Injector, error) {
	if err := initial.Validate(); err != nil {
		return nil, err
	}
	i := &Injector{own: plan, onCrash: crash, queue: newQueue(initial.Capacity)}
	i.setting.Store(&setting{faults: initial, plan: plan, replaced: make(chan struct{})})
	return i, nil
}

// Unary returns the interceptor that injects the faults into the methods of the named services,
// such as "counter.v1.Counter". Requests of any other service pass untouched and uncounted.
//
// A request meets the faults that are in force as it arrives, in this order: crash at arrival,
// hang, error, the queue for one of the Capacity places, service time, the work, crash at reply. It
// has its place from the queue to its end. One that ends earlier, by an error or because its
// context has ended, does no work and does not crash at reply; in the queue it makes way for those
// behind it.
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

// Freeze returns the counts, and for good lets no request arrive or end, so that they remain true
// until the process ends. Once is enough: a second Freeze never returns.
func (i *Injector) Freeze() Counts {
	i.counting.Lock()
	return i.counts
}

// crash returns only if the callback does.
func (i *Injector) crash(c Crash) error {
	i.crashing.Do(func() {
		i.counting.Lock()
		defer i.counting.Unlock()
		c.Counts = Counts{i.counts.Arrived, i.counts.InFlight - 1}
		i.onCrash(c)
	})
	return status.Error(codes.Unavailable, "fault: simulated crash")
}

// hang returns when Hang is false, in current or in a setting that replaces it, or with the status
// of ctx when that ends first.
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

// change puts into force what edit makes of the faults and the plan, and returns it. An error, of
// edit or of Validate, changes nothing.
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
