package ctl

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/inputfile"
)

// setPolicyCmd has the flags of a policy. Nil means not given.
type setPolicyCmd struct {
	Group         string       `group:"Replicas" placeholder:"NAME" help:"Name of the group; required if there are several."`
	Restart       *restartMode `group:"Restarts" placeholder:"always|on-failure|never" help:"After which exits to relaunch a replica."`
	RestartDelay  *duration    `group:"Restarts" placeholder:"DURATION" help:"Time from a replica's exit to its relaunch."`
	BackoffFactor *number      `group:"Backoff" placeholder:"X" help:"Multiplies the delay at each exit in a row after the first, 1 to 1000; 0 for no backoff."`
	BackoffMax    *duration    `group:"Backoff" placeholder:"DURATION" help:"Maximum delay; 0s for 1 minute."`
	BackoffJitter *number      `group:"Backoff" placeholder:"X" help:"Share of the delay by which it varies at random, 0 to 1."`
	BackoffReset  *duration    `group:"Backoff" placeholder:"DURATION" help:"Time that a replica must have been ready for its next exit to be the first of a new row; 0s for 10s."`
	LimitExits    *count       `group:"Limit" placeholder:"N" help:"Exits within the window after which a replica fails, up to 100; 0 for no limit."`
	LimitWindow   *duration    `group:"Limit" placeholder:"DURATION" help:"The window; 0s for 1 minute."`
	LimitThen     *escalation  `group:"Limit" placeholder:"isolate|stop-all|restart-all" help:"What happens to the group when a replica fails: the others continue, all are stopped, or all are restarted."`
}

// Help shows examples.
func (setPolicyCmd) Help() string {
	return `Settings that are not given do not change. The next reload restores the policy of the cluster file.

Examples:

    supervisor ctl set-policy --restart-delay 5s
    supervisor ctl set-policy --limit-exits 5 --limit-window 1m`
}

func (p *setPolicyCmd) policy() *supervisorv1.Policy {
	m := &supervisorv1.Policy{
		Delay: durationMessage(p.RestartDelay),
		Backoff: &supervisorv1.Backoff{
			Factor: (*float64)(p.BackoffFactor), Max: durationMessage(p.BackoffMax),
			Jitter: (*float64)(p.BackoffJitter), Reset_: durationMessage(p.BackoffReset),
		},
		Limit: &supervisorv1.Limit{Exits: (*uint32)(p.LimitExits), Window: durationMessage(p.LimitWindow)},
	}
	if p.Restart != nil {
		m.Restart = supervisorv1.Restart(*p.Restart)
	}
	if p.LimitThen != nil {
		m.Limit.Then = supervisorv1.Escalation(*p.LimitThen)
	}
	return m
}

func durationMessage(d *duration) *durationpb.Duration {
	if d == nil {
		return nil
	}
	return durationpb.New(time.Duration(*d))
}

// Run shows the policy after the change.
func (p *setPolicyCmd) Run(c *Command, k *kong.Context) error {
	nothing := (&setPolicyCmd{}).policy()
	if proto.Equal(p.policy(), nothing) {
		return inputfile.Place{}.Errorf("nothing to change: want a flag such as --restart-delay; see supervisor ctl set-policy --help")
	}
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		reply, err := s.SetPolicy(ctx, &supervisorv1.SetPolicyRequest{Group: p.Group, Policy: p.policy()})
		if err != nil {
			return err
		}
		if c.Output.json() {
			return writeJSON(w, reply.GetPolicy())
		}
		_, err = fmt.Fprintln(w, policyText(reply.GetPolicy()))
		return err
	})
}

// policyText returns a policy in one line, without settings that are off or have their default.
func policyText(p *supervisorv1.Policy) string {
	text := fmt.Sprintf("restart %s after %v", enumText(p.GetRestart(), "RESTART_"), p.GetDelay().AsDuration())
	if b := p.GetBackoff(); b.GetFactor() > 1 {
		text += fmt.Sprintf(", backoff ×%v%s%s", b.GetFactor(), unlessZero(" to ", b.GetMax()), unlessZero(", reset after ", b.GetReset_()))
	}
	if j := p.GetBackoff().GetJitter(); j > 0 {
		text += fmt.Sprintf(", jitter %v", j)
	}
	if l := p.GetLimit(); l.GetExits() > 0 {
		window := l.GetWindow().AsDuration()
		if window == 0 {
			window = time.Minute
		}
		text += fmt.Sprintf(", limit %d exits in %v, then %s", l.GetExits(), window, enumText(l.GetThen(), "ESCALATION_"))
	}
	return text
}

func unlessZero(label string, d *durationpb.Duration) string {
	if d.AsDuration() == 0 {
		return ""
	}
	return label + d.AsDuration().String()
}
