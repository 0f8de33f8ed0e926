package ctl

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/alecthomas/kong"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// Commands that show the status of the replicas that they affect.
type (
	startCmd struct {
		names
		Wait wait `group:"Replicas" placeholder:"TIMEOUT" help:"Wait until they are ready, for 30s or as long as --wait=TIME says; exit with 1 if they are not."`
	}
	stopCmd    struct{ names }
	restartCmd struct {
		names
		Wait wait `group:"Replicas" placeholder:"TIMEOUT" help:"Wait until they are ready, for 30s or as long as --wait=TIME says; exit with 1 if they are not."`
	}
	reloadCmd struct {
		Wait wait `group:"Replicas" default:"30s" placeholder:"TIMEOUT" help:"With --wait=TIME, wait that long for each replica to be ready; exit with 1 if one is not. 0s: do not wait. (default: ${default})"`
	}
	signalCmd struct {
		Signal signalName `arg:"" help:"kill, stop, continue, term, int, hup, quit, usr1, usr2, or another name of a signal."`
		names
	}
	scaleCmd struct {
		Count count  `arg:"" help:"Number of replicas."`
		Group string `group:"Replicas" placeholder:"NAME" help:"Name of the group; required if there are several."`
		Wait  wait   `group:"Replicas" placeholder:"TIMEOUT" help:"Wait until the replicas of the group are ready, for 30s or as long as --wait=TIME says; exit with 1 if they are not."`
	}
)

// Help shows examples.
func (startCmd) Help() string {
	return `Examples:

    supervisor ctl start a b
    supervisor ctl start --all --wait=1m`
}

// Help shows examples.
func (stopCmd) Help() string {
	return `Examples:

    supervisor ctl stop a
    supervisor ctl stop --all`
}

// Help shows examples.
func (restartCmd) Help() string {
	return `Examples:

    supervisor ctl restart a --wait
    supervisor ctl restart --all`
}

// Help shows examples.
func (reloadCmd) Help() string {
	return `Only the replicas whose settings have changed are restarted. SIGHUP to the supervisor reloads its file too.

Examples:

    supervisor ctl reload
    supervisor ctl reload --wait=0s`
}

// Help shows examples.
func (signalCmd) Help() string {
	return `Examples:

    # crash a replica, which its policy then relaunches
    supervisor ctl signal kill a
    # suspend all replicas; "signal continue" resumes them
    supervisor ctl signal stop --all`
}

// Help shows examples.
func (scaleCmd) Help() string {
	return `The next reload restores the number of the cluster file.

Examples:

    supervisor ctl scale 5
    supervisor ctl scale 2 --wait=1m`
}

// statuses is a reply with the status of replicas.
type statuses interface {
	GetReplicas() []*supervisorv1.Status
}

// nonEmpty returns an error for a reply without replicas: all have finished.
func nonEmpty[R statuses](reply R, err error) (R, error) {
	if err == nil && len(reply.GetReplicas()) == 0 {
		err = errors.New("no replica is left: the supervisor ends when all have finished")
	}
	return reply, err
}

// command makes a call, waits for up to w until the replicas of its reply are ready, and shows
// their status.
func command[R statuses](c *Command, k *kong.Context, w wait, call func(context.Context, supervisorv1.SupervisorClient) (R, error)) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, out io.Writer) error {
		reply, err := call(ctx, s)
		if err != nil {
			return err
		}
		replicas := reply.GetReplicas()
		names := replicaNames(replicas)
		if w == 0 || len(names) == 0 {
			return c.writeStatuses(out, replicas, false)
		}
		waited := w.ready(ctx, s, names)
		now, err := s.List(ctx, &supervisorv1.ListRequest{})
		if err != nil {
			return cmp.Or(waited, err)
		}
		replicas = slices.DeleteFunc(now.GetReplicas(), func(s *supervisorv1.Status) bool {
			return !slices.ContainsFunc(replicas, func(r *supervisorv1.Status) bool { return r.GetReplica() == s.GetReplica() })
		})
		return errors.Join(waited, c.writeStatuses(out, replicas, false))
	})
}

func (n *startCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return command(c, k, n.Wait, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.StartResponse, error) {
		return nonEmpty(s.Start(ctx, &supervisorv1.StartRequest{Names: n.Names, All: n.All}))
	})
}

func (n *stopCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return command(c, k, 0, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.StopResponse, error) {
		return s.Stop(ctx, &supervisorv1.StopRequest{Names: n.Names, All: n.All})
	})
}

func (n *restartCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return command(c, k, n.Wait, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.RestartResponse, error) {
		return nonEmpty(s.Restart(ctx, &supervisorv1.RestartRequest{Names: n.Names, All: n.All}))
	})
}

// Run sends the signal. It shows no status, because a signal takes time to have an effect.
func (n *signalCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		reply, err := s.Signal(ctx, &supervisorv1.SignalRequest{Names: n.Names, All: n.All, Signal: supervisorv1.Signal(n.Signal)})
		return c.writeEmpty(w, reply, err)
	})
}

func (n *scaleCmd) Run(c *Command, k *kong.Context) error {
	return command(c, k, n.Wait, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.ScaleResponse, error) {
		return s.Scale(ctx, &supervisorv1.ScaleRequest{Group: n.Group, Count: new(uint32(n.Count))})
	})
}

func (r *reloadCmd) Run(c *Command, k *kong.Context) error {
	return command(c, k, r.Wait, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.ReloadResponse, error) {
		var reply *supervisorv1.ReloadResponse
		err := r.Wait.during(ctx, s, func(*supervisorv1.Status) bool { return true }, func(ctx context.Context) (err error) {
			reply, err = nonEmpty(s.Reload(ctx, &supervisorv1.ReloadRequest{}))
			return err
		})
		return reply, err
	})
}
