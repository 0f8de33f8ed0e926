package fault

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// target is an injector around a handler that counts, driven in virtual time.
type target struct {
	*Injector
	worked atomic.Int32
}

func newTarget(t *testing.T, f Faults, crash func(Crash)) *target {
	t.Helper()
	injector, err := New(Plan{Seed: 7, Replica: "a", Incarnation: 1}, f, crash)
	if err != nil {
		t.Fatal(err)
	}
	return &target{Injector: injector}
}

// call makes one request and returns its code and how long it took.
func (t *target) call(ctx context.Context) (codes.Code, time.Duration) {
	began := time.Now()
	info := &grpc.UnaryServerInfo{FullMethod: "/counter.v1.Counter/Get"}
	_, err := t.Unary("counter.v1.Counter")(ctx, nil, info, func(context.Context, any) (any, error) {
		t.worked.Add(1)
		return nil, nil
	})
	return status.Code(err), time.Since(began)
}

func TestTimeOfRequests(t *testing.T) {
	draws := Plan{Seed: 7, Replica: "a", Incarnation: 1}.Draws(1)
	uniform := parse(t, "uniform:50ms:500ms")
	second := parse(t, "1s")
	for _, test := range []struct {
		name     string
		faults   Faults
		deadline time.Duration // 0: none
		code     codes.Code
		took     time.Duration
		worked   int32
	}{
		{"no fault", Faults{}, 0, codes.OK, 0, 1},
		{"service time", Faults{ServiceTime: second}, 0, codes.OK, time.Second, 1},
		{"drawn service time", Faults{ServiceTime: uniform}, 0, codes.OK, uniform.Quantile(draws.ServiceTime), 1},
		{"deadline after the work", Faults{ServiceTime: second}, 2 * time.Second, codes.OK, time.Second, 1},
		{"deadline during the work", Faults{ServiceTime: second}, 300 * time.Millisecond, codes.DeadlineExceeded, 300 * time.Millisecond, 0},
		{"hang", Faults{Hang: true}, 3 * time.Second, codes.DeadlineExceeded, 3 * time.Second, 0},
		{"hang comes before error", Faults{Hang: true, ErrorProbability: 1}, time.Second, codes.DeadlineExceeded, time.Second, 0},
		{"error comes before service time", Faults{ErrorProbability: 1, ServiceTime: second}, 0, codes.Unavailable, 0, 0},
		{"crash at arrival comes before hang", Faults{CrashProbability: 1, Hang: true}, time.Second, codes.Unavailable, 0, 0},
		{"crash at reply comes last", Faults{CrashProbability: 1, CrashPoint: CrashPointReply, ServiceTime: second}, 0, codes.Unavailable, time.Second, 1},
		{
			"no crash at a reply that is not reached", Faults{CrashProbability: 1, CrashPoint: CrashPointReply, ServiceTime: second},
			300 * time.Millisecond, codes.DeadlineExceeded, 300 * time.Millisecond, 0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crashed := false
				target := newTarget(t, test.faults, func(Crash) { crashed = true })
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				code, took := target.call(ctx)
				if code != test.code || took != test.took || target.worked.Load() != test.worked {
					t.Errorf("%v after %v, worked %d times; want %v after %v, worked %d times",
						code, took, target.worked.Load(), test.code, test.took, test.worked)
				}
				if want := test.faults.CrashProbability == 1 && test.code == codes.Unavailable; crashed != want {
					t.Errorf("crashed: %v, want %v", crashed, want)
				}
			})
		})
	}
}

func TestHangEndsWhenItIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newTarget(t, Faults{Hang: true, ServiceTime: parse(t, "1s")}, nil)
		set := func(edit func(*Faults)) {
			if _, err := target.change(func(f *Faults, _ *Plan) error { edit(f); return nil }); err != nil {
				t.Error(err)
			}
		}
		go func() {
			time.Sleep(2 * time.Second)
			set(func(f *Faults) { f.ErrorProbability = 1 }) // only for later arrivals; the hang continues
			time.Sleep(3 * time.Second)
			set(func(f *Faults) { f.Hang = false })
		}()
		if code, took := target.call(t.Context()); code != codes.OK || took != 6*time.Second {
			t.Errorf("%v after %v, want OK after the hang of 5s and the service time of 1s", code, took)
		}
		if code, took := target.call(t.Context()); code != codes.Unavailable || took != 0 {
			t.Errorf("the next arrival: %v after %v, want Unavailable at once", code, took)
		}
	})
}

func TestCancelEndsTheServiceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newTarget(t, Faults{ServiceTime: parse(t, "1s")}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(200*time.Millisecond, cancel)
		code, took := target.call(ctx)
		if code != codes.Canceled || took != 200*time.Millisecond || target.worked.Load() != 0 {
			t.Errorf("%v after %v, worked %d times; want Canceled after 200ms, not worked", code, took, target.worked.Load())
		}
	})
}

func TestNoRequestIsAnsweredDuringTheCrash(t *testing.T) {
	const requests = 20
	for _, faults := range []Faults{{}, {CrashProbability: 1}} { // other requests than the one that crashes
		var begun, answered atomic.Int32
		work := make(chan struct{})
		want := Counts{Arrived: requests, InFlight: requests - 1}
		target := newTarget(t, faults, func(c Crash) {
			close(work)
			for range 100_000 { // time for the others to end, if they can
				runtime.Gosched()
			}
			if n := answered.Load(); n > 0 {
				t.Errorf("%d requests were answered before the process had ended", n)
			}
			if c.Counts != want {
				t.Errorf("the counts are %+v, want %+v", c.Counts, want)
			}
		})
		info := &grpc.UnaryServerInfo{FullMethod: "/counter.v1.Counter/Get"}
		var wg sync.WaitGroup
		call := func() {
			target.Unary("counter.v1.Counter")(t.Context(), nil, info, func(context.Context, any) (any, error) {
				begun.Add(1)
				<-work
				return nil, nil
			})
			answered.Add(1)
		}
		target.change(func(f *Faults, _ *Plan) error { f.CrashPoint = CrashPointReply; return nil })
		for range requests - 1 {
			wg.Go(call)
		}
		for begun.Load() < requests-1 {
			runtime.Gosched()
		}
		target.change(func(f *Faults, _ *Plan) error { *f = Faults{CrashProbability: 1}; return nil })
		call()
		wg.Wait()
		if got, want := target.Freeze(), (Counts{Arrived: requests}); got != want {
			t.Errorf("in the end the counts are %+v, want %+v", got, want)
		}
	}
}

func TestFreezeStopsRequests(t *testing.T) {
	target := newTarget(t, Faults{}, nil)
	frozen := make(chan struct{})
	var answered atomic.Int32
	info := &grpc.UnaryServerInfo{FullMethod: "/counter.v1.Counter/Get"}
	call := func() {
		target.Unary("counter.v1.Counter")(context.Background(), nil, info, func(context.Context, any) (any, error) {
			if got, want := target.Freeze(), (Counts{1, 1}); got != want {
				t.Errorf("the counts are %+v, want %+v", got, want)
			}
			close(frozen)
			return nil, nil
		})
		answered.Add(1)
	}
	go call()
	<-frozen
	go call()
	for range 100_000 {
		runtime.Gosched()
	}
	if n := answered.Load(); n > 0 {
		t.Errorf("%d requests were answered", n)
	}
}
