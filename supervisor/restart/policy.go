// Package restart decides whether and when a process that exited is launched
// again: a pure function of a [Policy], the [History] of its exits and the time.
package restart

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// launchFailureDelay is the least delay after a launch that failed. A
	// program that is missing or broken needs a person, whose pace this is.
	launchFailureDelay = time.Second

	// A replica is in a hot loop after hotLoopExits incarnations in a row that
	// lived under shortUptime each. Simulated crashes end incarnations that
	// soon too, at any rate the user asked for: hence the long row, and a
	// delay that only keeps the machine usable.
	hotLoopExits = 10
	shortUptime  = time.Second
	hotLoopDelay = 100 * time.Millisecond

	longest time.Duration = 1 << 62 // delay, 146 years: whatever backoff and jitter make of it
)

const (
	MaxExits  = 100  // that a [Limit] can count
	MaxFactor = 1000 // of a [Backoff]
)

// Mode says after which exits a replica is launched again.
type Mode int

const (
	ModeAlways    Mode = iota // after every exit, whatever its code or signal
	ModeOnFailure             // unless it exited with code 0
	ModeNever                 // after none: the first incarnation is the only one, unless somebody asks for another
)

var modes = [...]string{ModeAlways: "always", ModeOnFailure: "on-failure", ModeNever: "never"}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modes) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modes[m]
}

// Policy decides whether and when a replica that exited is launched again. The
// zero value launches it always, at once.
type Policy struct {
	Mode    Mode
	Delay   time.Duration // from exit to relaunch; zero: at once
	Backoff Backoff       // lengthens Delay; zero: it stays as it is
	Limit   Limit         // when a replica is given up; zero: never

	// Exact makes Delay hold for programs that exit at once again and again, for which it is raised otherwise, see Next.
	// They may then be launched as often as the machine can.
	Exact bool
}

// Backoff lengthens the restart delay of a replica that exits again and again.
type Backoff struct {
	// Factor multiplies the delay at each exit after the first in a row, from
	// 1. Zero: it stays as it is.
	Factor float64
	// Max bounds the delay, before its jitter. Zero: 1 minute, or Policy.Delay
	// where that is longer.
	Max time.Duration
	// Jitter spreads the delay evenly over this share of it, from 0 to 1, to
	// both sides.
	Jitter float64
	// Reset is the time that an incarnation must have been ready for its exit
	// to be the first of a new row. Zero: 10 s.
	Reset time.Duration
}

// Limit bounds how often a replica may exit: after Exits within Window it is
// given up. Exits zero: no limit. Incarnations that never became ready are
// counted apart from those that did. Launches for which this machine lacked
// memory, processes or file descriptors are not counted.
type Limit struct {
	Exits  int           // 0 to MaxExits
	Window time.Duration // zero: 1 minute
	Then   Escalation
}

// Escalation is what becomes of the group of a replica that was given up.
type Escalation int

const (
	EscalationIsolate    Escalation = iota // the others go on
	EscalationStopAll                      // all of them are stopped
	EscalationRestartAll                   // all of them are launched anew, at once, and it too, after its delay
)

var escalations = [...]string{EscalationIsolate: "isolate", EscalationStopAll: "stop-all", EscalationRestartAll: "restart-all"}

func (e Escalation) String() string {
	if e < 0 || int(e) >= len(escalations) {
		return fmt.Sprintf("Escalation(%d)", int(e))
	}
	return escalations[e]
}

// Decision is what a policy wants after an exit.
type Decision struct {
	Relaunch bool          // false: the replica stays down
	GiveUp   bool          // as it exited too often; Policy.Limit.Then says what becomes of the others
	Delay    time.Duration // from the exit to the relaunch, also to that by EscalationRestartAll
	Reason   string        // why it stays down, or Delay is not the policy's; else empty
}

// Next decides after the latest exit in h, which holds at least one, at the
// time of that exit. Draw is a random number from 0 to 1, for the jitter. It
// is pure.
//
// The delay is raised to 1 s when the program did not run (see [Exit.NotRun]),
// and, unless Exact, to 100 ms once ten incarnations in a row have lived under 1 s each.
func (p Policy) Next(h History, now time.Time, draw float64) Decision {
	switch {
	case p.Mode == ModeNever:
		return Decision{Reason: "restart is never"}
	case p.Mode == ModeOnFailure && h.Last.Success():
		return Decision{Reason: "it has succeeded, and restart is on-failure"}
	}
	d := Decision{Relaunch: true, Delay: p.delay(h.Row, draw)}
	switch {
	case h.Last.NotRun() && d.Delay < launchFailureDelay:
		d.Delay = launchFailureDelay
		d.Reason = "the program did not run"
	case h.Short >= hotLoopExits && d.Delay < hotLoopDelay && !p.Exact:
		d.Delay = hotLoopDelay
		d.Reason = fmt.Sprintf("%d incarnations in a row lived under %v", h.Short, shortUptime)
	}
	if n := h.count(h.Last.NeverReady(), now.Add(-p.Limit.window())); p.Limit.Exits > 0 && n >= p.Limit.Exits {
		sort := "exits"
		if h.Last.NeverReady() {
			sort = "failures to start"
		}
		d.Relaunch, d.GiveUp, d.Reason = false, true, fmt.Sprintf("%d %s within %v", n, sort, p.Limit.window())
	}
	return d
}

// delay is the policy's own delay after the n-th exit in a row; zero: the row
// is forgotten.
func (p Policy) delay(n int, draw float64) time.Duration {
	d := min(max(p.Delay, 0), longest)
	if p.Backoff.Factor > 1 {
		d = min(times(d, math.Pow(p.Backoff.Factor, float64(max(n-1, 0)))), max(p.Backoff.max(), d))
	}
	if p.Backoff.Jitter > 0 {
		d = times(d, 1+p.Backoff.Jitter*(2*draw-1))
	}
	return d
}

// times multiplies a duration, from 0 to longest, and keeps it in that range.
func times(d time.Duration, factor float64) time.Duration {
	product := float64(d) * factor
	switch {
	case product >= float64(longest):
		return longest
	case product > 0:
		return time.Duration(product)
	}
	return 0 // also where no time is multiplied by infinity
}

func (b Backoff) max() time.Duration {
	if b.Max == 0 {
		return time.Minute
	}
	return b.Max
}

func (b Backoff) reset() time.Duration {
	if b.Reset == 0 {
		return 10 * time.Second
	}
	return b.Reset
}

func (l Limit) window() time.Duration {
	if l.Window == 0 {
		return time.Minute
	}
	return l.Window
}

// Check returns what is out of range.
func (p Policy) Check() error {
	b, l := p.Backoff, p.Limit
	switch {
	case p.Mode < ModeAlways || p.Mode > ModeNever:
		return fmt.Errorf("restart %v: want always, on-failure or never", p.Mode)
	case p.Delay < 0:
		return fmt.Errorf("restart delay %v: want 0 or more", p.Delay)
	case b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= MaxFactor):
		return fmt.Errorf("backoff factor %v: want 1 to %v, or 0 for none", b.Factor, MaxFactor)
	case b.Factor > 1 && p.Delay == 0:
		return errors.New("backoff factor: want a restart delay above 0 to multiply")
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		return fmt.Errorf("backoff jitter %v: want 0 to 1", b.Jitter)
	case b.Max < 0:
		return fmt.Errorf("backoff max %v: want 0 (1 minute) or more", b.Max)
	case b.Reset < 0:
		return fmt.Errorf("backoff reset %v: want 0 (10 s) or more", b.Reset)
	case l.Exits < 0 || l.Exits > MaxExits:
		return fmt.Errorf("limit of %d exits: want 0 (none) to %d", l.Exits, MaxExits)
	case l.Window < 0:
		return fmt.Errorf("limit window %v: want 0 (1 minute) or more", l.Window)
	case l.Then < EscalationIsolate || l.Then > EscalationRestartAll:
		return fmt.Errorf("limit then %v: want isolate, stop-all or restart-all", l.Then)
	}
	return nil
}
