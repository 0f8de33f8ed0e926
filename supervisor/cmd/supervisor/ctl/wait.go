package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/parse"
)

const (
	defaultWait = 30 * time.Second
	// settled is how long a replica must have been ready to count: one without a readiness probe is ready from its
	// launch, even if it exits at once.
	settled = time.Second
)

// wait is how long to wait for replicas to be ready; zero: not at all. Its flag may have no value.
type wait time.Duration

// IsBool lets the flag have no value.
func (wait) IsBool() bool { return true }

// Decode reads the flag's value, if there is one.
func (w *wait) Decode(ctx *kong.DecodeContext) error {
	*w = wait(defaultWait)
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	d, err := parse.Duration(ctx.Scan.Pop().String())
	*w = wait(d)
	return err
}

// ready returns once all replicas of the given names have been ready for a moment or have finished with success; no
// names means all replicas that are not stopped. It returns an error that says what each of the others is at when the
// time is over, or one cannot become ready any more.
func (w wait) ready(ctx context.Context, s supervisorv1.SupervisorClient, names []string) error {
	if w == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w))
	defer cancel()
	news, ended, err := notices(ctx, s)
	if err != nil {
		return err
	}
	for {
		// The list has a time of its own, so that the last one still says why.
		listing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		reply, err := s.List(listing, &supervisorv1.ListRequest{})
		cancel()
		if err != nil {
			return err
		}
		late, hopeless := unready(reply.GetReplicas(), names)
		switch {
		case len(late) == 0:
			return nil
		case hopeless:
			return fmt.Errorf("not ready: %s", strings.Join(late, "; "))
		case ctx.Err() != nil:
			return fmt.Errorf("not ready after %v: %s", time.Duration(w), strings.Join(late, "; "))
		}
		select {
		case <-news:
		case <-time.After(settled / 4):
		case err := <-ended:
			if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.OutOfRange {
				return errors.Join(errors.New("the supervisor has ended"), streamEnd(err))
			}
			ended = nil // and the timer goes on
		}
	}
}

// unready describes the replicas that are not ready. Hopeless: one of them stays down.
func unready(all []*supervisorv1.Status, names []string) (late []string, hopeless bool) {
	for _, s := range all {
		if len(names) > 0 && !slices.Contains(names, s.GetReplica()) {
			continue
		}
		down := false
		switch s.GetState() {
		case supervisorv1.State_STATE_READY:
			if s.GetTime().AsTime().Sub(s.GetReady().AsTime()) >= settled {
				continue
			}
		case supervisorv1.State_STATE_FINISHED:
			if e := s.GetLast(); e.GetCode() == 0 && e.GetSignal() == "" && e.GetError() == "" {
				continue
			}
			down = true
		case supervisorv1.State_STATE_STOPPED:
			if len(names) == 0 {
				continue
			}
			down = true
		case supervisorv1.State_STATE_FAILED:
			down = true
		}
		text := fmt.Sprintf("%s is %s", s.GetReplica(), stateText(s))
		if s.GetAnswer() != "" {
			text += ": " + s.GetAnswer()
		}
		if s.GetLast() != nil {
			text += fmt.Sprintf(", last exit: %s", lastExitText(s))
		}
		late, hopeless = append(late, text), hopeless || down
	}
	return late, hopeless
}

// replicaNames are the names of those that are not stopped.
func replicaNames(all []*supervisorv1.Status) []string {
	var names []string
	for _, s := range all {
		if s.GetState() != supervisorv1.State_STATE_STOPPED {
			names = append(names, s.GetReplica())
		}
	}
	return names
}

// in returns the names of the replicas that the names of replicas and groups stand for.
func (n *names) in(all []*supervisorv1.Status) []string {
	return replicaNames(slices.DeleteFunc(slices.Clone(all), func(s *supervisorv1.Status) bool {
		return !n.All && !slices.Contains(n.Names, s.GetReplica()) && !slices.Contains(n.Names, s.GetGroup())
	}))
}
