package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/status"
)

// reloader reads the cluster file again and applies its changes.
type reloader struct {
	now        *clusterfile.Cluster // as read at the start; its own settings change only at a restart
	supervisor *supervisor.Supervisor
	control    *controlListener

	mu     sync.Mutex
	cancel context.CancelCauseFunc // cancels the previous reload; nil: there was none
}

// errNextReload is the error of a reload that the next one canceled.
var errNextReload = fmt.Errorf("%w: the next reload", supervisor.ErrSuperseded)

// reload reads the file again, with the same flags, and returns when its changes are in effect. If
// the file has a mistake or a change that requires a restart, nothing changes. The file must not be
// a pipe. A previous reload that is still in progress ends with errNextReload.
func (r *reloader) reload(ctx context.Context) error {
	restored := r.control.restore()
	apply, err := r.begin(ctx)
	if err != nil {
		return errors.Join(errors.New(inputfile.Text(err)), restored)
	}
	return errors.Join(apply(), restored)
}

// begin reads the file, and returns a function that applies it. Of several reloads, the last one to
// read the file takes effect.
func (r *reloader) begin(ctx context.Context) (apply func() error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.read()
	if err != nil {
		return nil, err
	}
	if r.cancel != nil {
		r.cancel(errNextReload)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r.cancel = cancel
	return func() error {
		defer cancel(nil)
		err := r.supervisor.Apply(ctx, c.Groups)
		if err != nil && context.Cause(ctx) == errNextReload {
			return errNextReload
		}
		return err
	}, nil
}

// read reads the file and checks it.
func (r *reloader) read() (*clusterfile.Cluster, error) {
	c, err := r.now.Reread()
	if err != nil {
		return nil, err
	}
	return c, c.CheckFree(func(addr string) bool {
		return slices.ContainsFunc(r.supervisor.List(), func(s status.Status) bool { return lifecycle.Clash(s.Addr, addr) })
	})
}

// reloadAndLog is reload for a signal; the result goes to the log.
func (r *reloader) reloadAndLog(ctx context.Context, log hclog.Logger) {
	if err := r.control.restore(); err != nil {
		log.Error("failed to restore the control socket", "error", err)
	}
	apply, err := r.begin(ctx)
	if err != nil {
		log.Error("reload failed, nothing has changed", "error", inputfile.Text(err))
		return
	}
	log.Info("reloading", "file", r.now.Path)
	switch err := apply(); {
	case ctx.Err() != nil: // the supervisor is stopping
	case err == errNextReload:
		log.Info("canceled by the next reload")
	case err != nil:
		log.Error("reload failed in part", "error", err)
	default:
		log.Info("reloaded")
	}
}
