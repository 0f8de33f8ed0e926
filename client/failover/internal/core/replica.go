package core

import (
	"sync"
	"sync/atomic"
	"time"
)

// Link is the connection to a replica, or the lack of one. Links are compared with ==.
type Link interface {
	// Ready reports whether there is a connection, Down whether the last dial failed, Dialing
	// whether there is no connection and no dial has failed since the last one was lost.
	Ready() bool
	Down() bool
	Dialing() bool
	// Epoch is how many connections there have been.
	Epoch() uint64
}

// Member is a replica with its link of the time.
type Member struct {
	*Replica
	Link Link
}

// connection names one connection to a replica.
type connection struct {
	link  Link
	epoch uint64
}

func (m *Member) connection() connection { return connection{m.Link, m.Link.Epoch()} }

// Replica is what is known of a replica beside its link, which it outlives. The zero value knows
// nothing. Safe for concurrent use.
type Replica struct {
	Key uint32 // from 1, never used again

	shared  *Shared     // once there is a roster with the replica in it
	place   int         // in the latest of them; guarded by shared.mu
	touched atomic.Bool // it is among those to be looked at

	inFlight atomic.Int32

	// ramp bounds the attempts of calls that wait, when a connection is new that they have waited
	// for. ramped is the last one.
	ramp   Ramp
	ramped atomic.Pointer[connection]

	// crash is the connection whose loss was last taken for a crash.
	crash atomic.Pointer[connection]

	// loss is the last attempt that was lost.
	loss atomic.Pointer[loss]

	suspect atomic.Bool  // has failed since its last success, or is left out: a success is news
	ejected atomic.Bool  // is left out
	trial   atomic.Bool  // is left out, but one call may try it
	doubt   atomic.Int32 // of standing
	took    atomic.Int64 // what its last answer took; zero before the first

	unproven atomic.Bool // has come back after a failed dial or a lost connection, and has not answered since

	answers atomic.Int64 // how many there were
	waiting atomic.Int32 // attempts in flight that have begun since the last
	first   atomic.Int64 // when the first of those began

	mu        sync.Mutex // guards what follows
	standing  Standing
	since     time.Duration // when it was last left out, or taken back: attempts that began before are no news
	left      connection    // the one that it was left out with
	watch     int           // the number of the Watch that looks after it
	unwatched bool          // and that has ended before it was well
	ill       bool          // it has said so since it was left out, or not answered
}

// loss is an attempt that was lost: with which connection, and when.
type loss struct {
	connection
	at time.Duration
}

// lossTime is how long an attempt that was lost outweighs the state of the replica's connection.
// gRPC tells the attempt a moment before it tells the state, and the next call is not to fail by
// that. But a connection may outlive the loss.
const lossTime = time.Second

// JustLost reports whether an attempt was lost just now with the connection that the replica still
// seems to have.
func (m *Member) JustLost(now time.Duration) bool {
	l := m.loss.Load()
	return l != nil && l.connection == m.connection() && now-l.at < lossTime
}

// InFlight is how many attempts are in flight at the replica.
func (r *Replica) InFlight() int { return int(r.inFlight.Load()) }

// Ejected reports whether the replica is left out, be it on trial.
func (r *Replica) Ejected() bool { return r.ejected.Load() }

// leftOut reports whether the replica is left out and not to be tried.
func (r *Replica) leftOut() bool { return r.ejected.Load() && !r.trial.Load() }

// Lease is the right to an attempt at a replica, and what is remembered of it until its end.
type Lease struct {
	Member
	Start    time.Duration
	Method   *Latency
	Patience time.Duration // after which a hedge is due; zero: never

	conn    connection // the one it is made with
	answers int64      // of the replica, before it began
}

// Begin takes note that the attempt begins. It reports whether the replica has a connection for it.
func (l *Lease) Begin(now time.Duration) (ready bool) {
	l.Start = now
	if l.waiting.Add(1) <= 1 {
		l.first.Store(int64(now))
	}
	l.answers = l.Replica.answers.Load()
	ready = l.Link.Ready()
	if l.conn = l.connection(); !ready {
		l.conn.epoch++
	}
	l.touch()
	return ready
}

// end takes note that the attempt has ended.
func (l *Lease) end(answered bool) {
	switch {
	case answered:
		l.Replica.answers.Add(1)
		l.waiting.Store(0)
	case l.answers == l.Replica.answers.Load():
		l.waiting.Add(-1)
	}
}

// acquire takes a place among the attempts in flight, of which there may be limit; zero means any
// number. It returns false when there is none, or when the replica is left out and its trial, on
// which the choice relied, is another call's. leftOut says that the choice knew.
func (r *Replica) acquire(limit int32, leftOut bool) bool {
	if !r.enter(limit) {
		return false
	}
	if r.ejected.Load() && !leftOut && !r.trial.CompareAndSwap(true, false) && r.ejected.Load() {
		r.inFlight.Add(-1)
		return false
	}
	return true
}

func (r *Replica) enter(limit int32) bool {
	if limit == 0 {
		r.inFlight.Add(1)
		return true
	}
	for n := r.inFlight.Load(); n < limit; n = r.inFlight.Load() {
		if r.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// crashed reports whether the loss of the connection is news: all attempts in flight were lost with
// it, and it counts once.
func (r *Replica) crashed(conn connection) bool {
	last := r.crash.Load()
	if last != nil && last.link == conn.link && last.epoch >= conn.epoch {
		return false
	}
	return r.crash.CompareAndSwap(last, &conn)
}
