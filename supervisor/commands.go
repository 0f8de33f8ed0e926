package supervisor

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
)

// Errors of commands. They come wrapped in one that names the replica or group.
var (
	ErrUnknown    = errors.New("no such replica or group")
	ErrNotRunning = errors.New("no process is running")           // of Signal
	ErrNotReady   = errors.New("it did not become ready")         // of RollingRestart and Apply
	ErrClosed     = errors.New("the supervisor does not run")     // before Run, or since it ends
	ErrSuperseded = errors.New("another command came in between") // which asked for the opposite
)

// readyPatience is how long RollingRestart waits for a replica that has no
// StartTimeout.
const readyPatience = time.Minute

// Start launches replicas that are down, for whatever reason, and cuts short
// the delays of those that wait. What is known of their past exits is
// forgotten. Those that have a process are left alone. It does not wait for
// them to be ready. Names are of replicas or groups; none: all.
func (s *Supervisor) Start(names ...string) error {
	units, err := s.set.named(names...)
	for _, u := range units {
		failed := u.absent()
		u.do(func() {
			if u.core.Intent() != lifecycle.IntentLeave {
				u.start(lifecycle.InputStart)
				failed = nil
			}
		})
		err = errors.Join(err, u.wrap(failed))
	}
	return err
}

// Stop stops replicas, all at a time but for those that others are after, see
// [Group.After]: SIGTERM, then SIGKILL after StopTimeout. They stay down until
// they are started. It returns when the last has ended, or with ctx's error,
// while they are stopped all the same. Names are of replicas or groups; none:
// all.
func (s *Supervisor) Stop(ctx context.Context, names ...string) error {
	units, err := s.set.named(names...)
	if err != nil {
		return err
	}
	var failed []error
	for _, layer := range s.set.layers(units) {
		failed = append(failed, command(ctx, layer, func(u *runner) func() (bool, error) {
			u.command(lifecycle.InputStop, "stop requested")
			return u.whenDown
		}))
	}
	return first(ctx, failed)
}

// first returns ctx's error where it has ended, else all that has failed.
func first(ctx context.Context, failed []error) error {
	if err := ctx.Err(); err != nil && slices.Contains(failed, err) {
		return err
	}
	return errors.Join(failed...)
}

// Restart stops replicas, all at a time, and launches each as soon as it has
// ended, without a delay. Those that were down are launched. It returns when
// all were launched; ctx as in Stop. Names are of replicas or groups; none:
// all.
func (s *Supervisor) Restart(ctx context.Context, names ...string) error {
	units, err := s.set.named(names...)
	if err != nil {
		return err
	}
	return command(ctx, units, func(u *runner) func() (bool, error) {
		before := u.core.Incarnation()
		u.command(lifecycle.InputRestart, "restart requested")
		return u.whenLaunched(before)
	})
}

// command gives a command to replicas, which returns what to wait for, and
// waits.
func command(ctx context.Context, units []*runner, give func(*runner) func() (bool, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waits []<-chan error
	for _, u := range units {
		waits = append(waits, u.await(ctx, func() func() (bool, error) { return give(u) }))
	}
	var failed []error
	for i, u := range units {
		select {
		case err := <-waits[i]:
			failed = append(failed, u.wrap(err))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(failed...)
}

// RollingRestart restarts replicas one at a time, in the order of the set: the
// next is stopped only when the one before it is ready again. It ends with an
// error that wraps ErrNotReady at the first that does not become so: because
// it exits, or its StartTimeout has passed, or 1 minute where it has none.
// When ctx ends, the one in hand is still launched. Replicas that are down
// stay so. Names are of replicas or groups; none: all.
func (s *Supervisor) RollingRestart(ctx context.Context, names ...string) error {
	units, err := s.set.named(names...)
	if err != nil {
		return err
	}
	return s.set.roll(ctx, units, "a rolling restart")
}

// roll restarts replicas one at a time, also when several want to.
func (t *set) roll(ctx context.Context, units []*runner, reason string) error {
	if len(units) == 0 {
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
	moves := make([]lifecycle.Move, len(units))
	for i, u := range units {
		u.do(func() {
			if moves[i].To = u.placed.Addr; u.process != nil {
				moves[i].From = u.as.Addr
			}
		})
	}
	stopped := make(map[*runner]bool)
	defer func() { // whatever came in between
		for u := range stopped {
			u.do(func() { u.command(lifecycle.InputStart, reason) })
		}
	}()
	for _, step := range lifecycle.Order(moves) {
		if err := ctx.Err(); err != nil {
			return err
		}
		u, err := units[step.Index], error(nil)
		switch step.Kind {
		case lifecycle.StepStop:
			stopped[u] = true
			err = u.halt(ctx, reason)
		case lifecycle.StepStart:
			delete(stopped, u)
			err = u.replace(ctx, reason, true)
		default:
			err = u.replace(ctx, reason, false)
		}
		if err != nil && !errors.Is(err, ErrUnknown) {
			return u.wrap(err)
		}
	}
	return nil
}

// halt stops a replica, so that another can have its address.
func (u *runner) halt(ctx context.Context, reason string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case err := <-u.await(ctx, func() func() (bool, error) {
		u.command(lifecycle.InputStop, reason+"; another replica needs its address")
		return u.whenDown
	}):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replace restarts a replica, unless it is down and even that is not to be
// changed, and returns when it is ready.
func (u *runner) replace(ctx context.Context, reason string, evenDown bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var late <-chan time.Time
	ready := u.await(ctx, func() func() (bool, error) {
		if !evenDown && (u.core.Intent() == lifecycle.IntentDown || u.process == nil && u.core.State() != lifecycle.StateWaiting) {
			return func() (bool, error) { return true, nil }
		}
		if u.placed.StartTimeout == 0 { // else it is ready, or killed, by then
			late = time.After(readyPatience + min(u.placed.stopTimeout(), math.MaxInt64-readyPatience))
		}
		before := u.core.Incarnation()
		u.command(lifecycle.InputRestart, reason)
		return u.whenReady(before)
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

// Signal sends a signal to the process groups of replicas. Those that have a
// process get it, whatever the error says of others. Names are of replicas or
// groups; none: all.
func (s *Supervisor) Signal(sig syscall.Signal, names ...string) error {
	units, err := s.set.named(names...)
	for _, u := range units {
		failed := u.absent()
		u.do(func() {
			if failed = ErrNotRunning; u.process == nil {
				return
			}
			u.emit(event.Event{Kind: event.KindSignaled, Incarnation: u.core.Incarnation(), Signal: sig})
			u.process.Signal(sig)
			failed = nil
		})
		err = errors.Join(err, u.wrap(failed))
	}
	return err
}

// List returns how all replicas are, in the order of the set.
func (s *Supervisor) List() []Status {
	var all []Status
	for _, u := range s.set.all() {
		all = append(all, u.now())
	}
	return all
}

// Get returns how one replica is.
func (s *Supervisor) Get(name string) (Status, error) {
	if u := s.set.find(name); u != nil {
		return u.now(), nil
	}
	return Status{}, fmt.Errorf("%q: %w", name, ErrUnknown)
}

// await has begin run by the runner's goroutine, and returns a channel that
// delivers what the condition that it returns comes to, unless ctx ends. Every
// condition comes to something once the order is to leave.
func (u *runner) await(ctx context.Context, begin func() func() (bool, error)) <-chan error {
	done := make(chan error, 1)
	if !u.do(func() { u.waiters = append(u.waiters, waiter{ctx, begin(), done}) }) {
		done <- u.absent()
	}
	return done
}

// absent is why a replica is not there any more.
func (u *runner) absent() error {
	if u.set.ctx.Err() != nil {
		return ErrClosed
	}
	return ErrUnknown
}

func (u *runner) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("replica %s: %w", u.name, err)
}

// unwanted reports whether there shall be no process.
func (u *runner) unwanted() bool {
	return u.core.Intent() == lifecycle.IntentDown || u.core.Intent() == lifecycle.IntentLeave
}

// whenDown waits for the end of the process.
func (u *runner) whenDown() (bool, error) {
	switch {
	case u.process == nil && u.core.State() != lifecycle.StateWaiting:
		return true, nil
	case !u.unwanted():
		return true, ErrSuperseded
	}
	return false, nil
}

// whenLaunched waits for an incarnation after one.
func (u *runner) whenLaunched(before int) func() (bool, error) {
	return func() (bool, error) {
		switch {
		case u.core.Incarnation() > before && u.process == nil:
			return true, u.core.Last().Err
		case u.core.Incarnation() > before:
			return true, nil
		}
		return u.unwanted(), ErrSuperseded
	}
}

// whenReady waits until an incarnation after one is ready.
func (u *runner) whenReady(before int) func() (bool, error) {
	return func() (bool, error) {
		switch {
		case u.core.Incarnation() > before && u.core.State() == lifecycle.StateReady:
			return true, nil
		case u.unwanted():
			return true, ErrSuperseded
		case u.core.Incarnation() > before && u.process == nil:
			return true, fmt.Errorf("%w: %v", ErrNotReady, u.core.Last())
		}
		return false, nil
	}
}
