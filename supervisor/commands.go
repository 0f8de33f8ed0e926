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
	runners, err := s.set.named(names...)
	for _, r := range runners {
		failed := r.absent()
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

// Stop stops replicas, all at a time but for those that others are after, see
// [Group.After]: SIGTERM, then SIGKILL after StopTimeout. They stay down until
// they are started. It returns when the last has ended, or with ctx's error,
// while they are stopped all the same. Names are of replicas or groups; none:
// all.
func (s *Supervisor) Stop(ctx context.Context, names ...string) error {
	runners, err := s.set.named(names...)
	if err != nil {
		return err
	}
	var failed []error
	for _, layer := range s.set.layers(runners) {
		failed = append(failed, command(ctx, layer, func(r *runner) func() (bool, error) {
			r.command(lifecycle.InputStop, "stop requested")
			return r.whenDown
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
	runners, err := s.set.named(names...)
	if err != nil {
		return err
	}
	return command(ctx, runners, func(r *runner) func() (bool, error) {
		before := r.core.Incarnation()
		r.command(lifecycle.InputRestart, "restart requested")
		return r.whenLaunched(before)
	})
}

// command gives a command to replicas, which returns what to wait for, and
// waits.
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

// RollingRestart restarts replicas one at a time, in the order of the set: the
// next is stopped only when the one before it is ready again. It ends with an
// error that wraps ErrNotReady at the first that does not become so: because
// it exits, or its StartTimeout has passed, or 1 minute where it has none.
// When ctx ends, the one in hand is still launched. Replicas that are down
// stay so, and those that wait for other groups go on waiting. Names are of
// replicas or groups; none: all.
func (s *Supervisor) RollingRestart(ctx context.Context, names ...string) error {
	runners, err := s.set.named(names...)
	if err != nil {
		return err
	}
	return s.set.roll(ctx, runners, "a rolling restart")
}

// roll restarts replicas one at a time, also when several want to.
func (t *set) roll(ctx context.Context, runners []*runner, reason string) error {
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
	defer func() { // whatever came in between
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

// halt stops a replica, so that another can have its address.
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

// replace restarts a replica, unless it is down, or its start is yet to come, and
// even that is not to be changed. It returns when the replica is ready.
func (r *runner) replace(ctx context.Context, reason string, evenDown bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var late <-chan time.Time
	ready := r.await(ctx, func() func() (bool, error) {
		if !evenDown && (r.core.Intent() == lifecycle.IntentDown || r.held || r.process == nil && r.core.State() != lifecycle.StateWaiting) {
			return func() (bool, error) { return true, nil }
		}
		if r.wanted.StartTimeout == 0 { // else it is ready, or killed, by then
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

// Signal sends a signal to the process groups of replicas. Those that have a
// process get it, whatever the error says of others. Names are of replicas or
// groups; none: all.
func (s *Supervisor) Signal(sig syscall.Signal, names ...string) error {
	runners, err := s.set.named(names...)
	for _, r := range runners {
		failed := r.absent()
		r.do(func() {
			if failed = ErrNotRunning; r.process == nil {
				return
			}
			r.emit(event.Event{Kind: event.KindSignaled, Incarnation: r.core.Incarnation(), Signal: sig})
			r.process.Signal(sig)
			failed = nil
		})
		err = errors.Join(err, r.wrap(failed))
	}
	return err
}

// List returns how all replicas are, in the order of the set.
func (s *Supervisor) List() []Status {
	var all []Status
	for _, r := range s.set.all() {
		all = append(all, r.now())
	}
	return all
}

// Get returns how one replica is.
func (s *Supervisor) Get(name string) (Status, error) {
	if r := s.set.find(name); r != nil {
		return r.now(), nil
	}
	return Status{}, fmt.Errorf("%q: %w", name, ErrUnknown)
}

// await has begin run by the runner's goroutine, and returns a channel that
// delivers what the condition that it returns comes to, unless ctx ends. Every
// condition comes to something once the order is to leave.
func (r *runner) await(ctx context.Context, begin func() func() (bool, error)) <-chan error {
	done := make(chan error, 1)
	if !r.do(func() { r.waiters = append(r.waiters, waiter{ctx, begin(), done}) }) {
		done <- r.absent()
	}
	return done
}

// absent is why a replica is not there any more.
func (r *runner) absent() error {
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

// unwanted reports whether there shall be no process.
func (r *runner) unwanted() bool {
	return r.core.Intent() == lifecycle.IntentDown || r.core.Intent() == lifecycle.IntentLeave
}

// whenDown waits for the end of the process.
func (r *runner) whenDown() (bool, error) {
	switch {
	case r.process == nil && r.core.State() != lifecycle.StateWaiting:
		return true, nil
	case !r.unwanted():
		return true, ErrSuperseded
	}
	return false, nil
}

// whenLaunched waits for an incarnation after one.
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

// whenReady waits until an incarnation after one is ready.
func (r *runner) whenReady(before int) func() (bool, error) {
	return func() (bool, error) {
		switch {
		case r.core.Incarnation() > before && r.core.State() == lifecycle.StateReady:
			return true, nil
		case r.unwanted():
			return true, ErrSuperseded
		case r.core.Incarnation() > before && r.process == nil:
			return true, fmt.Errorf("%w: %v", ErrNotReady, r.core.Last())
		}
		return false, nil
	}
}
