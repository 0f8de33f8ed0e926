package control

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// signals are the signals that clients can send. Their numbers depend on the system.
var signals = map[supervisorv1.Signal]syscall.Signal{
	supervisorv1.Signal_SIGNAL_HUP:   syscall.SIGHUP,
	supervisorv1.Signal_SIGNAL_INT:   syscall.SIGINT,
	supervisorv1.Signal_SIGNAL_QUIT:  syscall.SIGQUIT,
	supervisorv1.Signal_SIGNAL_ABRT:  syscall.SIGABRT,
	supervisorv1.Signal_SIGNAL_KILL:  syscall.SIGKILL,
	supervisorv1.Signal_SIGNAL_USR1:  syscall.SIGUSR1,
	supervisorv1.Signal_SIGNAL_USR2:  syscall.SIGUSR2,
	supervisorv1.Signal_SIGNAL_ALRM:  syscall.SIGALRM,
	supervisorv1.Signal_SIGNAL_TERM:  syscall.SIGTERM,
	supervisorv1.Signal_SIGNAL_STOP:  syscall.SIGSTOP,
	supervisorv1.Signal_SIGNAL_CONT:  syscall.SIGCONT,
	supervisorv1.Signal_SIGNAL_WINCH: syscall.SIGWINCH,
}

// statusMessage returns the message for a status at a time. Clients subtract times of the message
// from each other. These differences are right even if the wall clock was set in between: times
// before at are moved along with it. status.State and event.Kind have the numbers of their protobuf
// enums. restart.Mode and restart.Escalation have the same order, but begin at 0 instead of 1.
func statusMessage(s status.Status, at time.Time) *supervisorv1.Status {
	moved := func(t time.Time) *timestamppb.Timestamp {
		if t.IsZero() {
			return nil
		}
		return timestamppb.New(at.Add(t.Sub(at))) // Sub uses the monotonic clock
	}
	m := &supervisorv1.Status{
		Time:        timestamppb.New(at),
		Replica:     text(s.Replica),
		Group:       text(s.Group),
		Addr:        text(s.Addr),
		State:       supervisorv1.State(s.State),
		Incarnation: uint32(s.Incarnation),
		Pid:         int32(s.PID),
		Launched:    moved(s.Launched),
		Ready:       moved(s.Ready),
		Next:        moved(s.Next),
		Restarts:    uint32(s.Restarts),
		Exits:       uint32(s.Exits),
		Failures:    uint32(s.Failures),
		Exited:      moved(s.Exited),
		Lost:        s.Lost,
		Policy:      policyMessage(s.Policy),
		Blocker:     text(s.Blocker),
	}
	if s.Answer != nil {
		m.Answer = text(s.Answer.Error())
	}
	if m.Exited != nil {
		m.Last = exitMessage(s.Last)
	}
	return m
}

// statusWithUsage returns a status with the replica's usage, if that is wanted and known.
func statusWithUsage(s status.Status, wanted bool) *supervisorv1.Status {
	m := statusMessage(s, time.Now())
	if wanted {
		if u, known := supervisor.UsageOf(s); known {
			setUsage(m, u)
		}
	}
	return m
}

func setUsage(m *supervisorv1.Status, u supervisor.Usage) {
	m.Cpu, m.Memory = durationpb.New(u.CPU), &u.Memory
}

func eventMessage(e event.Event) *supervisorv1.Event {
	m := &supervisorv1.Event{
		Sequence:    e.Sequence,
		Kind:        supervisorv1.EventKind(e.Kind),
		Time:        timestamp(e.Time),
		Elapsed:     durationpb.New(e.Elapsed),
		Replica:     text(e.Replica),
		Group:       text(e.Group),
		Incarnation: uint32(e.Incarnation),
		Pid:         int32(e.PID),
		Signal:      signalName(e.Signal),
		Reason:      text(e.Reason),
		Lost:        e.Lost,
	}
	for _, line := range e.Output {
		m.Output = append(m.Output, text(line))
	}
	if e.Err != nil {
		m.Error = text(e.Err.Error())
	}
	switch e.Kind {
	case event.KindLaunchFailed, event.KindExited, event.KindFinished, event.KindFailed:
		m.Exit = exitMessage(e.Exit)
	case event.KindReady:
		m.After = durationpb.New(e.After)
	}
	if e.Next != (restart.Decision{}) {
		m.Next = decisionMessage(e.Next)
	}
	return m
}

func exitMessage(e restart.Exit) *supervisorv1.Exit {
	m := &supervisorv1.Exit{
		Code:   int32(e.Code),
		Signal: signalName(e.Signal),
		Uptime: durationpb.New(e.Uptime),
		Ready:  durationpb.New(e.Ready),
	}
	if e.Err != nil {
		m.Error = text(e.Err.Error())
	}
	return m
}

func decisionMessage(d restart.Decision) *supervisorv1.Decision {
	return &supervisorv1.Decision{
		Relaunch: d.Relaunch, GiveUp: d.GiveUp, Delay: durationpb.New(d.Delay), Reason: text(d.Reason),
	}
}

func policyMessage(p restart.Policy) *supervisorv1.Policy {
	return &supervisorv1.Policy{
		Restart: supervisorv1.Restart(p.Mode + 1),
		Delay:   durationpb.New(p.Delay),
		Backoff: &supervisorv1.Backoff{
			Factor: new(p.Backoff.Factor),
			Max:    durationpb.New(p.Backoff.Max),
			Jitter: new(p.Backoff.Jitter),
			Reset_: durationpb.New(p.Backoff.Reset),
		},
		Limit: &supervisorv1.Limit{
			Exits:  new(uint32(p.Limit.Exits)),
			Window: durationpb.New(p.Limit.Window),
			Then:   supervisorv1.Escalation(p.Limit.Then + 1),
		},
		Exact: new(p.Exact),
	}
}

// merge sets the fields of p that m has. The supervisor checks their ranges.
func merge(p *restart.Policy, m *supervisorv1.Policy) error {
	b, l := m.GetBackoff(), m.GetLimit()
	if b != nil && b.Factor != nil {
		p.Backoff.Factor = b.GetFactor()
	}
	if b != nil && b.Jitter != nil {
		p.Backoff.Jitter = b.GetJitter()
	}
	if l != nil && l.Exits != nil {
		p.Limit.Exits = int(l.GetExits())
	}
	if m != nil && m.Exact != nil {
		p.Exact = m.GetExact()
	}
	if r := m.GetRestart(); r != supervisorv1.Restart_RESTART_UNSPECIFIED {
		p.Mode = restart.Mode(r) - 1
	}
	if e := l.GetThen(); e != supervisorv1.Escalation_ESCALATION_UNSPECIFIED {
		p.Limit.Then = restart.Escalation(e) - 1
	}
	for _, d := range []struct {
		name string
		from *durationpb.Duration
		to   *time.Duration
	}{
		{"delay", m.GetDelay(), &p.Delay},
		{"backoff.max", b.GetMax(), &p.Backoff.Max},
		{"backoff.reset", b.GetReset_(), &p.Backoff.Reset},
		{"limit.window", l.GetWindow(), &p.Limit.Window},
	} {
		if d.from == nil {
			continue
		}
		if err := d.from.CheckValid(); err != nil {
			return fmt.Errorf("policy.%s: want a duration, such as 1.5s: %w", d.name, err)
		}
		*d.to = d.from.AsDuration()
	}
	return nil
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func signalName(sig syscall.Signal) string {
	if sig == 0 {
		return ""
	}
	return restart.SignalName(sig)
}

// text returns s as valid UTF-8, as messages require. Replicas may write anything.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
