// Package virtual is the failover client in virtual time. It makes the decisions of package
// failover, which are the same code, about calls to replicas of which a World says what becomes of
// each dial and each attempt. There is no gRPC in it, no goroutine and no clock: a Timeline fires
// one timer after the other. With the same seed and the same World the same happens.
//
// What it leaves out: the resolver, whose replicas are the same all the time; streams; statuses
// beyond what Outcome tells apart; and the time that the client itself takes.
package virtual

import (
	"math"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// Policy is what decisions depend on of a failover.Policy, for one method; see
// failover.Policy.Virtual.
type Policy = core.Policy

// Outcome is how an attempt ended.
type Outcome = core.Outcome

// The outcomes, as those of package failover.
const (
	OutcomeOK       = core.OutcomeOK
	OutcomeRefused  = core.OutcomeRefused
	OutcomeLost     = core.OutcomeLost
	OutcomeFailed   = core.OutcomeFailed
	OutcomeTimeout  = core.OutcomeTimedOut
	OutcomeRejected = core.OutcomeRejected
	OutcomeCanceled = core.OutcomeCanceled
)

// Reason is why a call failed.
type Reason = core.Reason

// Forever is a time that never comes: of a deadline, that there is none; of an answer, that it
// never comes.
const Forever = core.Forever

// World is what is outside the client.
type World interface {
	// Dial is asked when a dial of a replica begins: after what time it ends, and whether the
	// replica is connected then. A replica that was down is knocked at before, which finds out
	// whether something accepts connections there, and no more.
	Dial(replica int, knock bool) (after time.Duration, ok bool)
	// Send is asked when an attempt is sent to a replica: what comes back, if the connection lasts.
	// Where that is not known yet, it comes after Forever, and Client.Answer says it later.
	Send(a Attempt) Reply
	// Probe is asked when a replica that is ejected is probed: after what time it answers, and
	// what.
	Probe(replica int) (after time.Duration, f Finding)
}

// Finding is what a probe finds out.
type Finding = core.Finding

// The findings.
const (
	FindingDeaf    = core.FindingDeaf
	FindingAlive   = core.FindingAlive
	FindingServing = core.FindingServing
)

// Reply is what comes of an attempt.
type Reply struct {
	// After is the time until then.
	After time.Duration
	// Outcome is OutcomeOK, OutcomeFailed or OutcomeRejected, or OutcomeLost, where the connection
	// breaks then, and all attempts that are in flight on it are lost. OutcomeRefused stands for a
	// request that is given back unprocessed.
	Outcome Outcome
	// NotExecuted is true where a failure says that the request was not executed, as
	// failover.Policy.NotExecuted has it.
	NotExecuted bool
	// Pushback is how long the replica asks to wait before a repetition; negative: not to repeat
	// the call.
	Pushback time.Duration
}

// Attempt is an attempt of a call.
type Attempt struct {
	Call     uint64 // its number, from 1
	Number   int    // among the call's attempts, from 1
	Round    int
	Hedge    bool
	Replica  int
	Start    time.Duration
	Duration time.Duration // once it has ended, as what follows
	Outcome  Outcome
	Sent     bool

	handle *attempt // of another by now, if this one has ended
}

// Call is a call that has ended.
type Call struct {
	Number          uint64
	Start, Duration time.Duration
	Waited          time.Duration // of it, for a replica to become available
	Attempts        int
	OK              bool
	Reason          Reason // unless OK
}

// Client is a client of replicas numbered from 0.
type Client struct {
	// OnAttempt, unless nil, is told of each attempt at its end.
	OnAttempt func(Attempt)

	timeline *Timeline
	world    World
	policy   Policy
	shared   core.Shared
	method   *Method // of Client.Call
	news     core.News
	calls    uint64

	links   []link
	members []core.Member
	roster  *core.Roster
	dials   *core.DialBudget
	seed    uint64
	down    []int         // links that are not ready, in order
	dialed  int           // how many links, from the first, have been dialed at all
	wanted  time.Duration // when a call last wanted replicas that were down
	pending []*attempt    // that wait for a connection

	line   core.Line[*call]
	rising Timer

	tasks tasks
	free  []*call
}

// New returns a client of n replicas, which it begins to dial. Its policy must be one of
// failover.Policy.Virtual.
func New(t *Timeline, p Policy, w World, n int, seed uint64) *Client {
	c := &Client{timeline: t, world: w, policy: p, seed: seed, dials: core.NewDialBudget(p.Redial.PerSecond), wanted: t.Now()}
	c.shared.Init(p, seed)
	c.method = c.Method(p)
	c.news = core.News{LeftOut: c.leftOut, TakenBack: func(core.Member) {}}
	c.rising.Do = func() { c.offer(); c.run() }
	c.links = make([]link, n)
	replicas := make([]core.Replica, n)
	for i := range c.links {
		l := &c.links[i]
		l.init(c, i)
		c.down = append(c.down, i)
		replicas[i].Key = l.key()
		c.members = append(c.members, core.Member{Replica: &replicas[i], Link: l})
	}
	c.roster = c.shared.Use(c.members)
	for i := range c.links {
		c.links[i].dial()
	}
	return c
}

// Method is a method that is called.
type Method struct {
	client  *Client
	rules   core.Rules
	hedging core.Hedging
	latency core.Latency
}

// Method returns another method, for which the policy says something else. What a policy says of
// all methods is that of [New].
func (c *Client) Method(p Policy) *Method {
	return &Method{client: c, rules: p.Rules, hedging: p.Hedging}
}

func (c *Client) now() time.Duration { return c.timeline.Now() }

// Waiting is how many calls wait for a replica.
func (c *Client) Waiting() int { return c.line.Len() }

// Limit is how many attempts may be in flight at a replica; zero means any number.
func (c *Client) Limit() int { return int(c.shared.Limit()) }

// Answer says what comes back to an attempt for which World.Send had nothing yet, in Reply.After
// from now. An attempt that has ended takes no answer.
func (c *Client) Answer(x Attempt, r Reply) {
	a := x.handle
	if a.state != attemptSent || a.call.Number != x.Call || a.number != x.Number {
		return
	}
	a.reply = r
	c.timeline.Set(&a.answer, after(c.now(), r.After))
}

// Break breaks the connection to a replica, if there is one: the attempts in flight on it are lost,
// and those on connections before it that drain.
func (c *Client) Break(replica int) {
	c.links[replica].lose()
	c.run()
}

// Drain lets the connection to a replica, if there is one, take no further attempts, as a GOAWAY
// does. Those in flight on it go on.
func (c *Client) Drain(replica int) {
	if l := &c.links[replica]; l.state == linkReady && !l.broken {
		l.changed(linkIdle)
		c.run()
	}
}

// offer hands the places that are free to the calls that wait.
func (c *Client) offer() {
	if c.line.Len() == 0 {
		return
	}
	again := core.Serve(&c.shared, &c.line, c.roster, c.now(), func(w *core.Waiter[*call], d core.Decision) {
		w.Owner.granted(d)
	})
	if again > 0 && !c.rising.Pending() {
		c.timeline.Set(&c.rising, after(c.now(), again))
	}
}

// after is the time after a duration, Forever included.
func after(now, d time.Duration) time.Duration {
	if d > math.MaxInt64-now {
		return Forever
	}
	return now + d
}
