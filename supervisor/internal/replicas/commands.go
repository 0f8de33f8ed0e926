package replicas

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/status"
)

// Errors of commands; package supervisor exports them.
var (
	ErrUnknown    = errors.New("no such replica or group")
	ErrNotRunning = errors.New("no process is running")
	ErrNotReady   = errors.New("it did not become ready")
	ErrClosed     = errors.New("the supervisor is not running")
	ErrSuperseded = errors.New("another command came in between")
)

// readyPatience is how long RollingRestart waits for a replica without a StartTimeout.
const readyPatience = time.Minute

// Start implements supervisor.Supervisor.Start.
func (t *Set) Start(names ...string) error {
	runners, err := t.named(names...)
	for _, r := range runners {
		failed := r.goneError()
		r.do(func() {
			if r.core.Intent() != lifecycle.IntentLeave {
				r.start(lifecycle.InputStart)
				failed = nil
			}
		})
		err = errors.Join(err, r.wrap(failed))
	}
	return err
}

// Stop implements supervisor.Supervisor.Stop.
func (t *Set) Stop(ctx context.Context, names ...string) error {
	runners, err := t.named(names...)
	if err != nil {
		return err
	}
	var failed []error
	for _, layer := range t.layers(runners) {
		failed = append(failed, command(ctx, layer, func(r *runner) func() (bool, error) {
			r.command(lifecycle.InputStop, "stop requested")
			return r.whenDown
		}))
	}
	return first(ctx, failed)
}

// first returns ctx's error if ctx has ended, or else all errors.
func first(ctx context.Context, failed []error) error {
	if err := ctx.Err(); err != nil && slices.Contains(failed, err) {
		return err
	}
	return errors.Join(failed...)
}

// Restart implements supervisor.Supervisor.Restart.
func (t *Set) Restart(ctx context.Context, names ...string) error {
	runners, err := t.named(names...)
	if err != nil {
		return err
	}
	return command(ctx, runners, func(r *runner) func() (bool, error) {
		before := r.core.Incarnation()
		r.command(lifecycle.InputRestart, "restart requested")
		return r.whenLaunched(before)
	})
}

// command calls give for each replica, and waits until the conditions that it returned are met.
func command(ctx context.Context, runners []*runner, give func(*runner) func() (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waits []<-chan error
	for _, r := range runners {
		waits = append(waits, r.await(ctx, func() func() (bool, error) { return give(r) }))
	}
	var failed []error
	for i, r := range runners {
		select {
		case err := <-waits[i]:
			failed = append(failed, r.wrap(err))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(failed...)
}

// RollingRestart implements supervisor.Supervisor.RollingRestart.
func (t *Set) RollingRestart(ctx context.Context, names ...string) error {
	runners, err := t.named(names...)
	if err != nil {
		return err
	}
	return t.roll(ctx, runners, "a rolling restart")
}

// roll restarts replicas one at a time. Calls wait for each other, so that no two replicas are down
// at the same time.
func (t *Set) roll(ctx context.Context, runners []*runner, reason string) error {
	if len(runners) == 0 {
		return nil
	}
	select {
	case t.rolling <- struct{}{}:
		defer func() { <-t.rolling }()
	case <-t.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	moves := make([]lifecycle.Move, len(runners))
	for i, r := range runners {
		r.do(func() {
			if moves[i].To = r.wanted.Addr; r.process != nil {
				moves[i].From = r.launched.Addr
			}
		})
	}
	stopped := make(map[*runner]bool)
	defer func() { // however the loop ends
		for r := range stopped {
			r.do(func() { r.command(lifecycle.InputStart, reason) })
		}
	}()
	for _, step := range lifecycle.Order(moves) {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := runners[step.Index], error(nil)
		switch step.Kind {
		case lifecycle.StepStop:
			stopped[r] = true
			err = r.halt(ctx, reason)
		case lifecycle.StepStart:
			delete(stopped, r)
			err = r.replace(ctx, reason, true)
		default:
			err = r.replace(ctx, reason, false)
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return r.wrap(err)
		}
	}
	return nil
}

// halt stops a replica so that another can have its address.
func (r *runner) halt(ctx context.Context, reason string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case err := <-r.await(ctx, func() func() (bool, error) {
		r.command(lifecycle.InputStop, reason+"; another replica needs its address")
		return r.whenDown
	}):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replace restarts a replica, and returns when it is ready. Unless evenDown, it leaves alone a
// replica that is down or waits for other groups, but not one that failed with other settings.
func (r *runner) replace(ctx context.Context, reason string, evenDown bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var late <-chan time.Time
	ready := r.await(ctx, func() func() (bool, error) {
		if !evenDown && !r.replaceable() {
			return func() (bool, error) { return true, nil }
		}
		if r.wanted.StartTimeout == 0 { // otherwise it is ready or killed by then
			late = time.After(readyPatience + min(r.wanted.stopTimeout(), math.MaxInt64-readyPatience))
		}
		before := r.core.Incarnation()
		r.command(lifecycle.InputRestart, reason)
		return r.whenReady(before)
	})
	select {
	case err := <-ready:
		return err
	case <-late:
		return fmt.Errorf("%w within %v", ErrNotReady, readyPatience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replaceable reports whether the replica runs or is due, or failed with other settings than it has
// now.
func (r *runner) replaceable() bool {
	switch {
	case r.core.State() == status.StateFailed:
		return !sameProcess(r.launched, r.wanted.Replica)
	case r.core.Intent() == lifecycle.IntentDown || r.mustWait:
		return false
	}
	return r.process != nil || r.core.State() == status.StateWaiting
}

// Signal implements supervisor.Supervisor.Signal.
func (t *Set) Signal(sig syscall.Signal, names ...string) error {
	runners, err := t.named(names...)
	for _, r := range runners {
		failed := r.goneError()
		r.do(func() {
			if failed = ErrNotRunning; r.process == nil {
				return
			}
			if failed = r.process.Signal(sig); failed == nil {
				r.emit(event.Event{Kind: event.KindSignaled, Incarnation: r.core.Incarnation(), Signal: sig})
			}
		})
		err = errors.Join(err, r.wrap(failed))
	}
	return err
}

// List implements supervisor.Supervisor.List.
func (t *Set) List() []status.Status {
	var all []status.Status
	for _, r := range t.all() {
		all = append(all, r.now())
	}
	return all
}

// Get implements supervisor.Supervisor.Get.
func (t *Set) Get(name string) (status.Status, error) {
	if r := t.find(name); r != nil {
		return r.now(), nil
	}
	return status.Status{}, fmt.Errorf("%q: %w", name, ErrUnknown)
}

// await lets the runner's goroutine call begin, which returns a condition. The channel delivers the
// condition's error when it is met, unless ctx ends first. Conditions must be met when the replica
// leaves the set.
func (r *runner) await(ctx context.Context, begin func() func() (bool, error)) <-chan error {
	done := make(chan error, 1)
	if !r.do(func() { r.waiters = append(r.waiters, waiter{ctx, begin(), done}) }) {
		done <- r.goneError()
	}
	return done
}

// goneError returns why a replica is no longer in the set.
func (r *runner) goneError() error {
	if r.set.ctx.Err() != nil {
		return ErrClosed
	}
	return ErrUnknown
}

func (r *runner) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("replica %s: %w", r.name, err)
}

// unwanted reports whether a command asked for no process.
func (r *runner) unwanted() bool {
	return r.core.Intent() == lifecycle.IntentDown || r.core.Intent() == lifecycle.IntentLeave
}

// whenDown is the condition that there is no process and none is due.
func (r *runner) whenDown() (bool, error) {
	switch {
	case r.process == nil && r.core.State() != status.StateWaiting:
		return true, nil
	case !r.unwanted():
		return true, ErrSuperseded
	}
	return false, nil
}

// whenLaunched returns the condition that an incarnation after before was launched. Its error says
// why the launch failed.
func (r *runner) whenLaunched(before int) func() (bool, error) {
	return func() (bool, error) {
		switch {
		case r.core.Incarnation() > before && r.process == nil:
			return true, r.core.Last().Err
		case r.core.Incarnation() > before:
			return true, nil
		}
		return r.unwanted(), ErrSuperseded
	}
}

// whenReady returns the condition that an incarnation after before is ready. Its error says why
// none became ready.
func (r *runner) whenReady(before int) func() (bool, error) {
	return func() (bool, error) {
		switch {
		case r.core.Incarnation() > before && r.core.State() == status.StateReady:
			return true, nil
		case r.unwanted():
			return true, ErrSuperseded
		case r.core.Incarnation() > before && r.process == nil:
			return true, fmt.Errorf("%w: %v", ErrNotReady, r.core.Last())
		}
		return false, nil
	}
}
