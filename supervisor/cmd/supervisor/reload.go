package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/cmd/supervisor/clusterfile"
	"example.com/crashlab/supervisor/inputfile"
)

// reloader makes what the cluster file says now run.
type reloader struct {
	now        *clusterfile.Cluster // as it was at the start, where that cannot be changed
	supervisor *supervisor.Supervisor
	control    *controlListener

	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the reload before; nil: there was none
}

// errNextReload ends a reload that still goes on when the next one begins.
var errNextReload = fmt.Errorf("%w: the next reload", supervisor.ErrSuperseded)

// reload reads the file again, which is no pipe then, with the same flags over
// it, and returns when all of it runs. A file with a mistake, or one that changes what only a
// restart can, changes nothing. A reload that still goes on then ends with
// errNextReload.
func (r *reloader) reload(ctx context.Context) error {
	restored := r.control.restore()
	apply, err := r.begin(ctx)
	if err != nil {
		return errors.Join(errors.New(inputfile.Text(err)), restored)
	}
	return errors.Join(apply(), restored)
}

// begin reads the file, and returns what makes it run. Of several reloads the
// last to read is the one that counts.
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
		return slices.ContainsFunc(r.supervisor.List(), func(s supervisor.Status) bool { return s.Addr == addr })
	})
}

// reloadAndSay is reload for those who can only read the log.
func (r *reloader) reloadAndSay(ctx context.Context, log hclog.Logger) {
	if err := r.control.restore(); err != nil {
		log.Error("not restored", "error", err)
	}
	apply, err := r.begin(ctx)
	if err != nil {
		log.Error("not reloaded, all goes on as before", "error", inputfile.Text(err))
		return
	}
	log.Info("reloading", "file", r.now.Path)
	switch err := apply(); {
	case ctx.Err() != nil: // we stop
	case err == errNextReload:
		log.Info("given up for the next reload")
	case err != nil:
		log.Error("reloaded in part", "error", err)
	default:
		log.Info("reloaded")
	}
}
