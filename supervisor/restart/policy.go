// Package restart decides whether and when a process that exited is launched again. The decision is
// a pure function of a [Policy], the [History] of the process's exits and the time: see
// [Policy.Next].
//
// Package supervisor applies a Policy to each of its groups. Use this package by itself to relaunch
// what is not a process of package supervisor, or to try out a policy without launching anything.
package restart

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// launchFailureDelay is the minimum delay after a failed launch. A missing or broken program
	// must be repaired by a person; trying more often is useless.
	launchFailureDelay = time.Second

	// A replica is in a hot loop after hotLoopExits consecutive incarnations that lived for less
	// than shortUptime each. Simulated crashes may also end incarnations that soon, at whatever
	// rate the user wants. That is why so many are needed, and why the delay only keeps the machine
	// usable.
	hotLoopExits = 10
	shortUptime  = time.Second
	hotLoopDelay = 100 * time.Millisecond

	// longest is the longest delay after backoff and jitter: 146 years.
	longest time.Duration = 1 << 62
)

const (
	MaxExits  = 100  // largest Exits of a [Limit]
	MaxFactor = 1000 // largest Factor of a [Backoff]
)

// Mode determines after which exits a replica is launched again.
type Mode int

const (
	ModeAlways    Mode = iota // after every exit, whatever its code or signal
	ModeOnFailure             // after every exit other than with code 0
	ModeNever                 // after none, unless a command asks for it
)

var modes = [...]string{ModeAlways: "always", ModeOnFailure: "on-failure", ModeNever: "never"}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modes) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modes[m]
}

// Policy decides whether and when a replica is launched again after an exit. The zero value always
// relaunches it at once.
type Policy struct {
	Mode    Mode
	Delay   time.Duration // from exit to relaunch; zero: at once
	Backoff Backoff       // increases Delay; zero: constant
	Limit   Limit         // when to give up; zero: never

	// Exact keeps Delay as it is for programs that repeatedly exit soon after their launch. They
	// may then be launched as fast as the machine allows. Otherwise Next raises the delay.
	Exact bool
}

// Backoff increases the restart delay of a replica that exits repeatedly.
type Backoff struct {
	// Factor multiplies the delay at each consecutive exit after the first one. It is between 1 and
	// MaxFactor; zero means that the delay does not grow.
	Factor float64
	// Max limits the delay before jitter. Zero means 1 minute, or Policy.Delay if that is longer.
	Max time.Duration
	// Jitter is the largest share of the delay, from 0 to 1, by which it is shortened or lengthened
	// at random, uniformly distributed.
	Jitter float64
	// Reset is how long an incarnation must have been ready for its exit to count as the first one
	// again. Zero means 10 s.
	Reset time.Duration
}

// Limit limits how often a replica may exit: it is given up at the Exits-th exit within Window.
// Exits of incarnations that became ready and of those that did not are counted separately.
// Launches that failed because the machine lacked memory, processes or file descriptors are not
// counted. The zero value is no limit.
type Limit struct {
	Exits  int           // 0 to MaxExits; zero: no limit
	Window time.Duration // zero: 1 minute
	Then   Escalation    // what happens to the rest of the group
}

// Escalation determines what happens to the group of a replica that is given up.
type Escalation int

const (
	EscalationIsolate    Escalation = iota // the others keep running
	EscalationStopAll                      // the others are stopped
	EscalationRestartAll                   // the others are restarted at once, and the replica itself after its delay
)

var escalations = [...]string{EscalationIsolate: "isolate", EscalationStopAll: "stop-all", EscalationRestartAll: "restart-all"}

func (e Escalation) String() string {
	if e < 0 || int(e) >= len(escalations) {
		return fmt.Sprintf("Escalation(%d)", int(e))
	}
	return escalations[e]
}

// Decision is what follows an exit.
type Decision struct {
	Relaunch bool          // whether the replica is launched again
	GiveUp   bool          // it exited too often; Policy.Limit.Then determines what happens to the others
	Delay    time.Duration // from the exit to the relaunch, including one by EscalationRestartAll
	Reason   string        // why it stays down, or why Delay is not the policy's; otherwise empty
}

// Next returns what follows the latest exit in h, which must contain at least one. Now is the time
// of that exit. Draw is a random number from 0 to 1, for the jitter. Next is a pure function.
//
// The delay is at least 1 s if the program did not run: it could not be executed, or exited with a
// code of 125 to 127, by which shells, env(1) and container runtimes report that. Unless p.Exact is
// set, the delay is at least 100 ms after ten consecutive incarnations that lived for less than 1 s
// each.
func (p Policy) Next(h History, now time.Time, draw float64) Decision {
	switch {
	case p.Mode == ModeNever:
		return Decision{Reason: "restart is never"}
	case p.Mode == ModeOnFailure && h.Last.Success():
		return Decision{Reason: "it has succeeded, and restart is on-failure"}
	}
	d := Decision{Relaunch: true, Delay: p.delay(h.Streak, draw)}
	switch {
	case h.Last.notRun() && d.Delay < launchFailureDelay:
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

// delay returns the delay after the n-th consecutive exit, by Delay and Backoff alone. n is zero if
// the history was cleared.
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

// times returns d times factor, limited to the range of 0 to longest.
func times(d time.Duration, factor float64) time.Duration {
	product := float64(d) * factor
	switch {
	case product >= float64(longest):
		return longest
	case product > 0:
		return time.Duration(product)
	}
	return 0 // also for NaN, the product of zero and infinity
}

// WithDefaults returns the policy with what zero means in place of each zero of Backoff and Limit.
func (p Policy) WithDefaults() Policy {
	p.Backoff.Factor, p.Backoff.Reset = cmp.Or(p.Backoff.Factor, 1), p.Backoff.reset()
	p.Backoff.Max = cmp.Or(p.Backoff.Max, max(p.Backoff.max(), p.Delay))
	p.Limit.Window = p.Limit.window()
	return p
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

// Check returns an error that names the first value that is out of range, or nil.
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
