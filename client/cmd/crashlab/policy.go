package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/parse"
)

// policy are the flags that say how a call is carried through the replicas. The defaults are the
// original lab's.
type policy struct {
	Timeout     duration          `default:"1s" placeholder:"DURATION" help:"Deadline of one attempt; 0s for none. (default: 1s)"`
	Deadline    duration          `default:"0s" placeholder:"DURATION" help:"Deadline of a call, all its attempts and waits included; 0s for none. (default: 0s)"`
	Rounds      count             `default:"3" placeholder:"N" help:"How often a call passes through the replicas. (default: 3)"`
	Pause       duration          `default:"200ms" placeholder:"DURATION" help:"Wait between two rounds. (default: 200ms)"`
	Order       failover.Order    `default:"first" placeholder:"ORDER" help:"Which replica a call tries first, of those that are ready: first, round-robin, random, least-in-flight or sticky. (default: first)"`
	WhenDown    failover.WhenDown `default:"attempt" placeholder:"attempt|wait" help:"What a call does when no replica is available: attempt one that is down, or wait. (default: attempt)"`
	MaxInFlight inFlight          `default:"0" placeholder:"N|adaptive" help:"How many attempts may be in flight at a replica; adaptive learns it from the crashes, 0 is no limit. (default: 0)"`
	Budget      share             `default:"0" placeholder:"RATIO" help:"How many repetitions each call allows, such as 0.1; 0 is no bound. (default: 0)"`
	EjectAfter  number            `default:"3" placeholder:"N" help:"After how many hung or failed attempts in a row a replica is left out; 0 is never. (default: 3)"`
	HedgeAfter  duration          `default:"0s" placeholder:"DURATION" help:"Send a call to a second replica when the first has taken so long; 0s is never. (default: 0s)"`
	OnlyUnsent  bool              `help:"Repeat a call only when no byte of it was sent, as if Get might not be repeated."`
}

// resolveEvery is how often a name is looked up, so that replicas which are added, as when a
// StatefulSet is scaled, are used soon. It is also the least time between two look-ups, for which
// gRPC's default is 30 s.
const resolveEvery = time.Second

// failover returns the policy in the library's terms.
func (p policy) failover() failover.Policy {
	all := p.settings().Policy()
	all.ResolveEvery = resolveEvery
	return all
}

// settings returns the policy as a design has it.
func (p policy) settings() design.Settings {
	return design.Settings{
		Timeout: time.Duration(p.Timeout), Deadline: time.Duration(p.Deadline), Rounds: int(p.Rounds), Pause: time.Duration(p.Pause),
		Order: p.Order, WhenDown: p.WhenDown, MaxInFlight: int(p.MaxInFlight), Budget: float64(p.Budget),
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

// number is a whole number from 0.
type number int

func (n *number) UnmarshalText(text []byte) error {
	v, err := parse.Whole(string(text), 0, math.MaxInt)
	*n = number(v)
	return err
}
