package remote

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

const (
	// commandTimeout bounds a command to a supervisor, which may wait for a replica that hangs.
	commandTimeout = time.Minute
	// readyTimeout bounds the start of all replicas.
	readyTimeout = time.Minute
	// pollPeriod is the time between two polls of replicas that are not ready yet.
	pollPeriod = 50 * time.Millisecond
)

// command calls do for each supervisor of the given replicas, with the names of those it has.
func (e *Engine) command(ctx context.Context, replicas []cluster.Replica, do func(ctx context.Context, s *cluster.Supervisor, names []string) error) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return cluster.BySupervisor(replicas, func(s *cluster.Supervisor, names []string) error { return s.Failure(do(ctx, s, names)) })
}

// stop stops all replicas.
func (e *Engine) stop(ctx context.Context) error {
	return e.command(ctx, e.cluster.Replicas, func(ctx context.Context, s *cluster.Supervisor, names []string) error {
		_, err := s.Stop(ctx, &supervisorv1.StopRequest{Names: names})
		return err
	})
}

// start launches the given replicas.
func (e *Engine) start(ctx context.Context, replicas []cluster.Replica) error {
	return e.command(ctx, replicas, func(ctx context.Context, s *cluster.Supervisor, names []string) error {
		_, err := s.Start(ctx, &supervisorv1.StartRequest{Names: names})
		return err
	})
}

// setPolicies sets the restart policies of the supervisors.
func (e *Engine) setPolicies(ctx context.Context, policies map[*cluster.Supervisor]*supervisorv1.Policy) error {
	return e.command(ctx, e.cluster.Replicas, func(ctx context.Context, s *cluster.Supervisor, _ []string) error {
		_, err := s.SetPolicy(ctx, &supervisorv1.SetPolicyRequest{Group: e.before.group, Policy: policies[s]})
		return err
	})
}

// forever is a restart delay that no trial outlasts.
const forever = 365 * 24 * time.Hour

// policy returns the restart policy of a cell: a constant delay and no limit, as in package lab. A
// replica that must stay down gets the delay forever, because a supervisor exits when none of its
// replicas can be relaunched.
func policy(s design.Settings) *supervisorv1.Policy {
	delay := s.RestartDelay
	if delay == design.Never {
		delay = forever
	}
	return &supervisorv1.Policy{
		Restart: supervisorv1.Restart_RESTART_ALWAYS, Delay: durationpb.New(delay), Exact: new(true),
		Backoff: &supervisorv1.Backoff{Factor: new(0.0), Jitter: new(0.0)}, Limit: &supervisorv1.Limit{Exits: new(uint32(0))},
	}
}

// scale sets the number of replicas of the only supervisor and lists them again.
func (e *Engine) scale(ctx context.Context, n int) error {
	err := e.command(ctx, e.cluster.Replicas[:1], func(ctx context.Context, s *cluster.Supervisor, _ []string) error {
		_, err := s.Scale(ctx, &supervisorv1.ScaleRequest{Group: e.before.group, Count: new(uint32(n))})
		return err
	})
	if err != nil {
		return err
	}
	return e.cluster.Refresh(ctx)
}

// awaitReady returns nil once all replicas are ready. It returns an error if one is down for good
// or not ready within readyTimeout.
func (e *Engine) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if err := e.cluster.Refresh(ctx); err != nil {
			return err
		}
		i := slices.IndexFunc(e.cluster.Replicas, func(r cluster.Replica) bool {
			return r.Status.GetState() != supervisorv1.State_STATE_READY
		})
		if i < 0 {
			return nil
		}
		r := e.cluster.Replicas[i]
		switch state := r.Status.GetState(); state {
		case supervisorv1.State_STATE_STOPPED, supervisorv1.State_STATE_FINISHED, supervisorv1.State_STATE_FAILED:
			return fmt.Errorf("replica %s of the supervisor at %s is down: want all replicas running; supervisor ctl start %[1]s", r.Name, r.Supervisor.Addr)
		}
		select {
		case <-time.After(pollPeriod):
		case <-ctx.Done():
			return fmt.Errorf("replica %s of the supervisor at %s is not ready: %w", r.Name, r.Supervisor.Addr, ctx.Err())
		}
	}
}
