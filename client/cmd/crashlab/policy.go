package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/parse"
)

// policy holds the flags of a failover policy. The defaults are those of the original course's
// client, or with --policy recommended those of [recommended].
type policy struct {
	Preset preset `name:"policy" group:"Policy" default:"original" placeholder:"original|recommended" help:"Defaults of the flags below: those of the original course's client, or those recommended for production, which crashlab load --help lists. (default: original)"`

	Timeout    duration       `group:"Policy, attempts" default:"1s" placeholder:"DURATION" help:"Deadline of one attempt; 0s for none. (default: 1s)"`
	Deadline   duration       `group:"Policy, attempts" default:"0s" placeholder:"DURATION" help:"Deadline of a call, including all attempts and waits; 0s for none. (default: 0s)"`
	Rounds     count          `group:"Policy, attempts" default:"3" placeholder:"N" help:"Maximum rounds of a call; each tries every replica at most once. (default: 3)"`
	Pause      duration       `group:"Policy, attempts" default:"200ms" placeholder:"DURATION" help:"Wait between two rounds. (default: 200ms)"`
	Order      failover.Order `group:"Policy, attempts" default:"first" placeholder:"ORDER" help:"Which ready replica a call tries first: first, round-robin, random, least-in-flight or sticky. (default: first)"`
	OnlyUnsent bool           `group:"Policy, attempts" help:"Repeat a call only if no byte of it was sent, as if Get were not idempotent."`

	WhenDown failover.WhenDown `group:"Policy, waiting" default:"attempt" placeholder:"attempt|wait" help:"What a call does when no replica is available: attempt one that is down, or wait. (default: attempt)"`

	MaxInFlight     inFlight `group:"Policy, protection" default:"0" placeholder:"N|adaptive" help:"Maximum attempts in flight at a replica; 0 for no limit, adaptive to learn it from crashes. (default: 0)"`
	Budget          share    `group:"Policy, protection" default:"0" placeholder:"RATIO" help:"Repeated attempts that each call adds to the budget, such as 0.1. Without a budget they are unbounded. (default: 0)"`
	BudgetPerSecond repeats  `group:"Policy, protection" default:"0" placeholder:"N" help:"Repeated attempts that each second adds to the budget. (default: 0)"`
	BudgetBurst     number   `group:"Policy, protection" default:"0" placeholder:"N" help:"Repeated attempts that the budget holds; 0 for 20. (default: 0)"`
	EjectAfter      number   `group:"Policy, protection" default:"3" placeholder:"N" help:"Stop using a replica after this many hung or failed attempts in a row, until it is healthy again; 0 for never. (default: 3)"`

	HedgeAfter duration `group:"Policy, hedging" default:"0s" placeholder:"DURATION" help:"Send a call to a second replica as well if the first has not answered after this time; 0s for never. (default: 0s)"`
}

// preset names the defaults of the other flags.
type preset string

func (p *preset) UnmarshalText(text []byte) error {
	if *p = preset(text); *p != live.PresetOriginal && *p != live.PresetRecommended {
		return fmt.Errorf("%q: want %s or %s", text, live.PresetOriginal, live.PresetRecommended)
	}
	return nil
}

// recommended has the defaults of the flags with --policy recommended: those of
// [failover.Recommended], and a deadline for the calls.
var recommended = map[string]string{
	"deadline": "10s", "timeout": "0s", "pause": "0s",
	"order": "least-in-flight", "when-down": "wait", "max-in-flight": "adaptive",
	"budget": "0.2", "budget-per-second": "10", "budget-burst": "100",
}

// recommend is a [kong.ResolverFunc] that sets the flags that the command line leaves out.
func recommend(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "policy" && ctx.FlagValue(p.Flag) == preset(live.PresetRecommended) {
			if value, ok := recommended[flag.Name]; ok {
				return value, nil
			}
		}
	}
	return nil, nil
}

// resolveEvery is how often names are resolved again, so that replicas that are added, for example
// by scaling a StatefulSet, are used soon. It is also the minimum time between two lookups, for
// which gRPC's default is 30 s.
const resolveEvery = time.Second

// failover returns the policy of the library.
func (p policy) failover() failover.Policy {
	all := p.settings().Policy()
	all.ResolveEvery = resolveEvery
	return all
}

// settings returns the policy as the factors of a design.
func (p policy) settings() design.Settings {
	return design.Settings{
		Timeout: time.Duration(p.Timeout), Deadline: time.Duration(p.Deadline), Rounds: int(p.Rounds), Pause: time.Duration(p.Pause),
		Order: p.Order, WhenDown: p.WhenDown, MaxInFlight: int(p.MaxInFlight),
		Budget: float64(p.Budget), BudgetPerSecond: float64(p.BudgetPerSecond), BudgetBurst: int(p.BudgetBurst),
		EjectAfter: int(p.EjectAfter), HedgeAfter: time.Duration(p.HedgeAfter), OnlyUnsent: p.OnlyUnsent,
	}
}

// inFlight is a whole number from 0, or adaptive.
type inFlight int

const adaptive inFlight = design.Adaptive

func (n *inFlight) UnmarshalText(text []byte) error {
	if string(text) == "adaptive" {
		*n = adaptive
		return nil
	}
	v, err := parse.Whole(string(text), 0, math.MaxInt)
	if err != nil {
		return fmt.Errorf("%w, or adaptive", err)
	}
	*n = inFlight(v)
	return nil
}

func (n inFlight) String() string {
	if n == adaptive {
		return "adaptive"
	}
	return strconv.Itoa(int(n))
}

// repeats is a number of repeated attempts a second, 0 or more.
type repeats float64

func (r *repeats) UnmarshalText(text []byte) error {
	v, err := parse.Number(string(text), 0, workload.MaxRate)
	*r = repeats(v)
	return err
}

// number is a whole number from 0.
type number int

func (n *number) UnmarshalText(text []byte) error {
	v, err := parse.Whole(string(text), 0, math.MaxInt)
	*n = number(v)
	return err
}
