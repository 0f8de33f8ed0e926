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
	// settled is how long a replica must have been ready to count as ready. Without a readiness
	// probe, a replica is ready when it is launched, even if it exits at once.
	settled = time.Second
)

// wait is how long to wait for replicas to be ready; zero means not to wait. Its flag may have no
// value.
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

// ready returns nil once all replicas of the given names have been ready for a second or have
// finished successfully. After w, or when one of them stays down, it returns an error with the
// states of those that are not ready.
func (w wait) ready(ctx context.Context, s supervisorv1.SupervisorClient, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w))
	defer cancel()
	news, ended, err := notices(ctx, s)
	if err != nil {
		return err
	}
	for {
		// The list has its own timeout, so that the last one still shows the reasons.
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
			ended = nil // from now on, only poll
		}
	}
}

// during makes a call that returns when replicas are ready, and cancels it when one of the chosen
// replicas has been starting for longer than w.
func (w wait) during(ctx context.Context, s supervisorv1.SupervisorClient, chosen func(*supervisorv1.Status) bool, call func(context.Context) error) error {
	if w == 0 {
		return call(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil {
			reply, _ := s.List(ctx, &supervisorv1.ListRequest{})
			for _, one := range reply.GetReplicas() {
				if chosen(one) && one.GetState() == supervisorv1.State_STATE_STARTING && one.GetTime().AsTime().Sub(one.GetLaunched().AsTime()) >= time.Duration(w) {
					cancel(fmt.Errorf("not ready after %v: %s", time.Duration(w), unreadyText(one)))
				}
			}
			select {
			case <-time.After(settled / 4):
			case <-ctx.Done():
			}
		}
	}()
	err := call(ctx)
	if gaveUp := context.Cause(ctx); err != nil && gaveUp != nil {
		return gaveUp
	}
	return err
}

// unready describes the replicas of the given names that are not ready, and reports whether one of
// them stays down.
func unready(all []*supervisorv1.Status, names []string) (late []string, hopeless bool) {
	for _, name := range names {
		i := slices.IndexFunc(all, func(s *supervisorv1.Status) bool { return s.GetReplica() == name })
		if i < 0 {
			late, hopeless = append(late, name+" is gone"), true
			continue
		}
		s := all[i]
		switch s.GetState() {
		case supervisorv1.State_STATE_READY:
			if since := s.GetTime().AsTime().Sub(s.GetReady().AsTime()); since < settled {
				late = append(late, fmt.Sprintf("%s has only been ready for %s", name, spanText(since)))
			}
			continue
		case supervisorv1.State_STATE_FINISHED:
			if e := s.GetLast(); e.GetCode() == 0 && e.GetSignal() == "" && e.GetError() == "" {
				continue
			}
			hopeless = true
		case supervisorv1.State_STATE_STOPPED, supervisorv1.State_STATE_FAILED:
			hopeless = true
		}
		late = append(late, unreadyText(s))
	}
	return late, hopeless
}

func unreadyText(s *supervisorv1.Status) string {
	text := fmt.Sprintf("%s is %s", s.GetReplica(), stateText(s))
	if s.GetAnswer() != "" {
		text += ": " + s.GetAnswer()
	}
	if s.GetLast() != nil {
		text += ", last exit: " + lastExitText(s)
	}
	return text
}

// replicaNames returns the names of the replicas that are not stopped.
func replicaNames(all []*supervisorv1.Status) []string {
	var names []string
	for _, s := range all {
		if s.GetState() != supervisorv1.State_STATE_STOPPED {
			names = append(names, s.GetReplica())
		}
	}
	return names
}

// include reports whether the names of replicas and groups include a replica.
func (n *names) include(s *supervisorv1.Status) bool {
	return n.All || slices.Contains(n.Names, s.GetReplica()) || slices.Contains(n.Names, s.GetGroup())
}
