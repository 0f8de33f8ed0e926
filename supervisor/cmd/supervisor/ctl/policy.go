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

// setPolicyCmd has the flags of a policy; nil: not given.
type setPolicyCmd struct {
	Group         string       `placeholder:"NAME" help:"Of which group; not needed where there is only one"`
	Restart       *restartWord `placeholder:"always|on-failure|never" help:"After which exits to relaunch"`
	RestartDelay  *duration    `placeholder:"DURATION" help:"From a replica's exit to its relaunch"`
	BackoffFactor *number      `placeholder:"X" help:"Multiplies the delay at each exit after the first in a row, from 1; 0 for none"`
	BackoffMax    *duration    `placeholder:"DURATION" help:"Bounds the delay; 0s for 1 minute"`
	BackoffJitter *number      `placeholder:"X" help:"Share of the delay over which it is spread, 0 to 1"`
	BackoffReset  *duration    `placeholder:"DURATION" help:"How long a replica must have been ready for the next delay to be the first again; 0s for 10 s"`
	LimitExits    *count       `placeholder:"N" help:"How many exits within the window fail a replica, to 100; 0 for no limit"`
	LimitWindow   *duration    `placeholder:"DURATION" help:"The window; 0s for 1 minute"`
	LimitThen     *thenWord    `placeholder:"isolate|stop-all|restart-all" help:"What becomes of the group then"`
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

// Run shows the policy that is in force after the change.
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

// policyText returns a policy in one line, without what is off or at its default.
func policyText(p *supervisorv1.Policy) string {
	text := fmt.Sprintf("restart %s after %v", enumWord(p.GetRestart(), "RESTART_"), p.GetDelay().AsDuration())
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
		text += fmt.Sprintf(", limit %d exits in %v, then %s", l.GetExits(), window, enumWord(l.GetThen(), "ESCALATION_"))
	}
	return text
}

func unlessZero(label string, d *durationpb.Duration) string {
	if d.AsDuration() == 0 {
		return ""
	}
	return label + d.AsDuration().String()
}
