// Package virtual runs the failover client in virtual time. It makes the decisions of package
// failover with the same code, for calls to replicas whose behavior a World defines: what each dial
// and each attempt leads to. There is no gRPC, goroutine or clock in it; a Timeline fires one timer
// after another. The same seed and World give the same run.
//
// Use it to predict how a policy behaves, or to test one, thousands of times faster than real time.
// It does not model the resolver (the set of replicas is fixed), streams, status codes beyond what
// Outcome distinguishes, or the time that the client itself takes.
//
// Unlike the API of package failover, this one may change in any version: some of its types are
// those by which failover decides.
package virtual

import (
	"math"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// Policy is the part of a failover.Policy that decisions about one method depend on. Make one with
// failover.Policy.Virtual.
type Policy = core.Policy

// Outcome is how an attempt ended.
type Outcome = core.Outcome

// The outcomes, with the same meanings as in package failover.
const (
	OutcomeOK       = core.OutcomeOK
	OutcomeRefused  = core.OutcomeRefused
	OutcomeLost     = core.OutcomeLost
	OutcomeFailed   = core.OutcomeFailed
	OutcomeTimeout  = core.OutcomeTimedOut
	OutcomeRejected = core.OutcomeRejected
	OutcomeCanceled = core.OutcomeCanceled
)

// Reason is why a call failed. failover.ReasonOf converts it to a failover.Reason.
type Reason = core.Reason

// Forever is a time that never comes. As a deadline it means none; as the time of an answer, that
// none comes.
const Forever = core.Forever

// World is the environment of the client: the network and the replicas.
type World interface {
	// Dial is called when a dial of a replica begins. It returns after what time the dial ends, and
	// whether it succeeds. Before a replica that was down is dialed, a dial with knock set only
	// checks whether something accepts connections there.
	Dial(replica int, knock bool) (after time.Duration, ok bool)
	// Send is called when an attempt is sent to a replica. It returns the reply that comes if the
	// connection lasts. If that is not known yet, it returns a Reply after Forever, and
	// Client.Answer supplies the reply later.
	Send(a Attempt) Reply
	// Probe is called when an ejected replica is probed. It returns after what time the replica
	// answers, and the result.
	Probe(replica int) (after time.Duration, f Finding)
}

// Finding is the result of a probe.
type Finding = core.Finding

// The findings.
const (
	FindingUnhealthy = core.FindingUnhealthy // no answer, or NOT_SERVING
	FindingAlive     = core.FindingAlive     // another answer, which shows only that the process is alive
	FindingServing   = core.FindingServing   // SERVING
)

// Reply is how an attempt ends.
type Reply struct {
	// After is the time from the sending of the attempt, or from the call of Client.Answer.
	After time.Duration
	// Outcome is OutcomeOK, OutcomeFailed, OutcomeRejected, OutcomeLost or OutcomeRefused. With
	// OutcomeLost the connection breaks, and all attempts in flight on it are lost. OutcomeRefused
	// means that the replica refuses the request unprocessed.
	Outcome Outcome
	// NotExecuted says that a failure signals that the request was not executed; see
	// failover.Policy.NotExecuted.
	NotExecuted bool
	// Pushback is how long the replica asks to wait before a repetition. A negative value means
	// that the call must not be repeated.
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
	Duration time.Duration // this and the fields below are set once the attempt has ended
	Outcome  Outcome
	Sent     bool

	handle *attempt // reused for another attempt once this one has ended
}

// Call describes a call that has ended.
type Call struct {
	Number          uint64
	Start, Duration time.Duration
	Waited          time.Duration // part of Duration spent waiting for a replica
	Attempts        int
	OK              bool
	Reason          Reason // unless OK
}

// Client is a client of replicas numbered from 0. It is not safe for concurrent use.
type Client struct {
	// OnAttempt, unless nil, is called at the end of each attempt.
	OnAttempt func(Attempt)

	timeline *Timeline
	world    World
	policy   Policy
	shared   core.Shared
	method   *Method // for Client.Call
	observer core.Observer
	calls    uint64

	links   []link
	members []core.Member
	roster  *core.Roster
	dials   *core.DialBudget
	seed    uint64
	down    []int         // links that are not ready, in order
	dialed  int           // how many links, from the first, have been dialed at all
	wanted  time.Duration // when a call last wanted replicas that were down
	pending []*attempt    // waiting for a connection

	line   core.Line[*call]
	rising Timer

	tasks tasks
	free  []*call
}

// New returns a client of n replicas, and begins to dial them. The policy must come from
// failover.Policy.Virtual. All random choices depend on the seed.
func New(t *Timeline, p Policy, w World, n int, seed uint64) *Client {
	c := &Client{timeline: t, world: w, policy: p, seed: seed, dials: core.NewDialBudget(p.Redial.PerSecond), wanted: t.Now()}
	c.shared.Init(p, seed)
	c.method = c.Method(p)
	c.observer = core.Observer{Ejected: c.ejected, Reinstated: func(core.Member) {}}
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

// Method is a method of the service, with its own rules and learned latencies.
type Method struct {
	client  *Client
	rules   core.Rules
	hedging core.Hedging
	latency core.Latency
}

// Method returns a method with the rules and hedging of the given policy. All other settings are
// those of the policy passed to [New].
func (c *Client) Method(p Policy) *Method {
	return &Method{client: c, rules: p.Rules, hedging: p.Hedging}
}

func (c *Client) now() time.Duration { return c.timeline.Now() }

// Waiting returns how many calls wait for a replica.
func (c *Client) Waiting() int { return c.line.Len() }

// Limit returns how many attempts may be in flight at one replica; zero means any number.
func (c *Client) Limit() int { return int(c.shared.Limit()) }

// Answer supplies the reply to an attempt for which World.Send returned Forever. It comes after
// Reply.After from now. An attempt that has ended ignores it.
func (c *Client) Answer(x Attempt, r Reply) {
	a := x.handle
	if a.state != attemptSent || a.call.Number != x.Call || a.number != x.Number {
		return
	}
	a.reply = r
	c.timeline.Set(&a.answer, after(c.now(), r.After))
}

// Break breaks the connection to a replica, if there is one. The attempts in flight on it, and on
// earlier connections that drain, are lost.
func (c *Client) Break(replica int) {
	c.links[replica].lose()
	c.run()
}

// Drain makes the connection to a replica, if there is one, accept no further attempts, like a
// GOAWAY. Attempts in flight on it continue.
func (c *Client) Drain(replica int) {
	if l := &c.links[replica]; l.state == linkReady && !l.broken {
		l.changed(linkIdle)
		c.run()
	}
}

// offer hands free places to the calls that wait.
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

// after returns now + d, or Forever if that would overflow.
func after(now, d time.Duration) time.Duration {
	if d > math.MaxInt64-now {
		return Forever
	}
	return now + d
}
