package session

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// commandTimeout bounds a command, which may wait for processes to stop.
const commandTimeout = time.Minute

// Do executes a command and adds a mark. Its error is a [*live.Refusal]. Canceling ctx does not
// cancel the command, which takes up to a minute.
func (s *Session) Do(ctx context.Context, c live.Command) (live.Done, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	do, ok := actions[c.Do]
	if !ok {
		return live.Done{}, live.Refuse(http.StatusBadRequest, "do %q: want one of %s", c.Do, actionNames())
	}
	mark := live.Marked{Kind: live.MarkCommand, Replicas: c.Replicas, Load: c.Load, Text: do.text(c)}
	if err := do.do(s, ctx, c); err != nil {
		return live.Done{}, err
	}
	if do.kind != "" {
		mark.Kind = do.kind
	}
	s.apply(mark)
	return live.Done{Text: mark.Text}, nil
}

// action is the implementation of an action.
type action struct {
	do   func(s *Session, ctx context.Context, c live.Command) error
	text func(c live.Command) string
	kind live.MarkKind // of its mark; empty means MarkCommand
}

var actions map[live.Action]action

func init() { // in init, because scenarios execute commands: an initialization cycle otherwise
	actions = map[live.Action]action{
		live.ActionKill:     {signal(supervisorv1.Signal_SIGNAL_KILL), toReplicas, ""},
		live.ActionStop:     {signal(supervisorv1.Signal_SIGNAL_STOP), toReplicas, ""},
		live.ActionContinue: {signal(supervisorv1.Signal_SIGNAL_CONT), toReplicas, ""},
		live.ActionRestart:  {(*Session).restart, toReplicas, ""},
		live.ActionFaults:   {(*Session).setFaultsOf, toReplicas, ""},
		live.ActionRelaunch: {(*Session).relaunch, toGroup, ""},
		live.ActionScale:    {(*Session).scale, toGroup, ""},
		live.ActionLoad:     {(*Session).setLoad, toLoad, ""},
		live.ActionRecord:   {(*Session).record, onOff, live.MarkRecord},
		live.ActionScenario: {(*Session).runScenario, toScenario, live.MarkScenario},
	}
}

func actionNames() string {
	var names []string
	for name := range actions {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// The functions below make the texts of marks, such as "kill b", "faults all: hang true" and "start
// load B, recommended, rounds 5". They use the words of the page's buttons and fields.

func toReplicas(c live.Command) string {
	text := verb(c.Do) + " all"
	if len(c.Replicas) > 0 {
		text = verb(c.Do) + " " + strings.Join(c.Replicas, ", ")
	}
	if c.Do == live.ActionFaults && len(c.Set) == 0 {
		return text + ": reset at next launch"
	}
	return text + colon(values(c.Set))
}

// verb returns the word of an action's button.
func verb(a live.Action) string {
	if a == live.ActionStop {
		return "hang"
	}
	return string(a)
}

func toGroup(c live.Command) string {
	text := strings.TrimSpace("cluster " + c.Group)
	if c.Count != nil {
		return fmt.Sprintf("%s: replicas %d", text, *c.Count)
	}
	return text + colon(values(c.Set))
}

func toLoad(c live.Command) string {
	parts := []string{"load " + cmp.Or(c.Load, loadIDs[0])}
	if c.On != nil {
		parts[0] = map[bool]string{true: "start ", false: "stop "}[*c.On] + parts[0]
	}
	if c.Preset != "" {
		parts = append(parts, c.Preset)
	}
	return strings.Join(append(parts, values(c.Set)...), ", ")
}

func onOff(c live.Command) string {
	if c.On != nil && *c.On {
		return "record"
	}
	return "stop recording"
}

func toScenario(c live.Command) string {
	for _, g := range live.Scenarios() {
		if g.Name == c.Scenario {
			return "begin " + g.Title
		}
	}
	return "end scenario"
}

func values(set map[string]string) []string {
	var all []string
	for name, value := range set {
		all = append(all, strings.ReplaceAll(name, "_", " ")+" "+value)
	}
	slices.Sort(all)
	return all
}

func colon(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return ": " + strings.Join(values, ", ")
}

// refusal converts the error of a supervisor's call to a [*live.Refusal].
func refusal(of *cluster.Supervisor, err error) error {
	if err == nil {
		return nil
	}
	to := http.StatusBadGateway
	switch status.Code(err) {
	case codes.NotFound:
		to = http.StatusNotFound
	case codes.InvalidArgument:
		to = http.StatusBadRequest
	case codes.FailedPrecondition, codes.Aborted:
		to = http.StatusConflict
	case codes.Unavailable, codes.Canceled:
		to = http.StatusServiceUnavailable
	}
	return live.Refuse(to, "%w", of.Failure(err))
}

// signal returns a function that sends a signal to the replicas of a command. If the command is for
// all replicas, it leaves out those without a process.
func signal(sig supervisorv1.Signal) func(*Session, context.Context, live.Command) error {
	return func(s *Session, ctx context.Context, c live.Command) error {
		chosen, err := s.replicas(c.Replicas)
		if err != nil {
			return err
		}
		if len(c.Replicas) == 0 {
			running := map[string]bool{}
			for _, r := range s.State().Replicas {
				running[r.Name] = r.PID != 0
			}
			chosen = slices.DeleteFunc(slices.Clone(chosen), func(r cluster.Replica) bool { return !running[r.Name] })
			if len(chosen) == 0 {
				return live.Refuse(http.StatusConflict, "%s: no replica has a process", verb(c.Do))
			}
		}
		return bySupervisor(chosen, func(of *cluster.Supervisor, names []string) error {
			_, err := of.Signal(ctx, &supervisorv1.SignalRequest{Names: names, Signal: sig})
			return err
		})
	}
}

// bySupervisor calls do for each supervisor with the names of its chosen replicas.
func bySupervisor(chosen []cluster.Replica, do func(of *cluster.Supervisor, names []string) error) error {
	return cluster.BySupervisor(chosen, func(of *cluster.Supervisor, names []string) error { return refusal(of, do(of, names)) })
}

func (s *Session) restart(ctx context.Context, c live.Command) error {
	chosen, err := s.replicas(c.Replicas)
	if err != nil {
		return err
	}
	return bySupervisor(chosen, func(of *cluster.Supervisor, names []string) error {
		_, err := of.Restart(ctx, &supervisorv1.RestartRequest{Names: names})
		return err
	})
}

func (s *Session) setFaultsOf(ctx context.Context, c live.Command) error {
	chosen, err := s.replicas(c.Replicas)
	if err != nil {
		return err
	}
	return s.setFaults(ctx, chosen, c.Set)
}

func (s *Session) relaunch(ctx context.Context, c live.Command) error {
	policy, err := live.RelaunchPolicy(c.Set)
	if err != nil {
		return live.Refuse(http.StatusBadRequest, "%w", err)
	}
	if len(c.Set) == 0 {
		return live.Refuse(http.StatusBadRequest, "relaunch: nothing is set: want set, such as {\"delay\":\"1s\"}")
	}
	return s.ofGroup(c.Group, func(of *cluster.Supervisor, group string) error {
		_, err := of.SetPolicy(ctx, &supervisorv1.SetPolicyRequest{Group: group, Policy: policy})
		return err
	})
}

// maxScale is the greatest number of replicas that a supervisor accepts.
const maxScale = 1000

func (s *Session) scale(ctx context.Context, c live.Command) error {
	if c.Count == nil || *c.Count < 1 || *c.Count > maxScale {
		return live.Refuse(http.StatusBadRequest, "count %s: want 1 to %d", given(c.Count), maxScale)
	}
	now, _, err := s.control()
	if err != nil {
		return err
	}
	if n := len(now.Supervisors); n > 1 {
		return live.Refuse(http.StatusConflict, "scale: the cluster has %d supervisors: want one, else scale it where it is deployed", n)
	}
	return s.ofGroup(c.Group, func(of *cluster.Supervisor, group string) error {
		_, err := of.Scale(ctx, &supervisorv1.ScaleRequest{Group: group, Count: new(uint32(*c.Count))})
		return err
	})
}

func given(n *int) string {
	if n == nil {
		return "is not given"
	}
	return fmt.Sprint(*n)
}

// ofGroup calls do for each supervisor with the name of the group, then lists the replicas again.
func (s *Session) ofGroup(name string, do func(of *cluster.Supervisor, group string) error) error {
	now, replicas, err := s.control()
	if err != nil {
		return err
	}
	group := replicas[0].Status.GetGroup() // all replicas have the same
	if name != "" && name != group {
		return live.Refuse(http.StatusNotFound, "group %q: want %q", name, group)
	}
	for _, of := range now.Supervisors {
		if err := do(of, group); err != nil {
			return refusal(of, err)
		}
	}
	s.relist()
	return nil
}

// relist returns once the replicas have been listed again, so that the next command finds the
// present ones. It gives up if the connection is lost.
func (s *Session) relist() {
	limit := time.NewTimer(listTimeout)
	defer limit.Stop()
	done := make(chan struct{})
	select {
	case s.attached.relist <- done:
	case <-limit.C:
		return
	}
	<-done
}

func (s *Session) setLoad(_ context.Context, c live.Command) error {
	l, err := s.load(c.Load)
	if err != nil {
		return err
	}
	return l.set(c.On, c.Preset, c.Set)
}
