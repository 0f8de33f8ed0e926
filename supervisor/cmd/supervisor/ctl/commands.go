package ctl

import (
	"context"
	"io"

	"github.com/alecthomas/kong"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// Commands show how the replicas are that they were for.
type (
	startCmd   struct{ names }
	stopCmd    struct{ names }
	restartCmd struct{ names }
	reloadCmd  struct{}
	signalCmd  struct {
		Signal signalWord `arg:"" help:"kill, stop, continue, term, int, hup, quit, usr1, usr2 or another."`
		names
	}
	scaleCmd struct {
		Count count  `arg:"" help:"How many replicas."`
		Group string `placeholder:"NAME" help:"Of which group; not needed where there is only one"`
	}
)

// statuses is a reply that says how replicas are.
type statuses interface {
	GetReplicas() []*supervisorv1.Status
}

// command makes a call and writes the table of its reply.
func command[R statuses](c *Command, k *kong.Context, call func(context.Context, supervisorv1.SupervisorClient) (R, error)) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		reply, err := call(ctx, s)
		if err != nil {
			return err
		}
		return writeTable(w, reply.GetReplicas())
	})
}

func (n *startCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return command(c, k, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.StartResponse, error) {
		return s.Start(ctx, &supervisorv1.StartRequest{Names: n.Names, All: n.All})
	})
}

func (n *stopCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return command(c, k, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.StopResponse, error) {
		return s.Stop(ctx, &supervisorv1.StopRequest{Names: n.Names, All: n.All})
	})
}

func (n *restartCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return command(c, k, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.RestartResponse, error) {
		return s.Restart(ctx, &supervisorv1.RestartRequest{Names: n.Names, All: n.All})
	})
}

// Run shows nothing: what a signal comes to takes its time.
func (n *signalCmd) Run(c *Command, k *kong.Context) error {
	if err := n.check(); err != nil {
		return err
	}
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, _ io.Writer) error {
		_, err := s.Signal(ctx, &supervisorv1.SignalRequest{Names: n.Names, All: n.All, Signal: supervisorv1.Signal(n.Signal)})
		return err
	})
}

func (n *scaleCmd) Run(c *Command, k *kong.Context) error {
	return command(c, k, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.ScaleResponse, error) {
		return s.Scale(ctx, &supervisorv1.ScaleRequest{Group: n.Group, Count: new(uint32(n.Count))})
	})
}

func (*reloadCmd) Run(c *Command, k *kong.Context) error {
	return command(c, k, func(ctx context.Context, s supervisorv1.SupervisorClient) (*supervisorv1.ReloadResponse, error) {
		return s.Reload(ctx, &supervisorv1.ReloadRequest{})
	})
}
