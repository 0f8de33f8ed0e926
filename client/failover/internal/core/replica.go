package core

import (
	"sync"
	"sync/atomic"
	"time"
)

// Link is the state of the connection to a replica. Links are compared with ==.
type Link interface {
	// Ready reports whether there is a connection, Down whether the last dial failed, and Dialing
	// whether there is no connection but no dial has failed since the last one was lost.
	Ready() bool
	Down() bool
	Dialing() bool
	// Epoch returns how many connections there have been.
	Epoch() uint64
}

// Member is a replica with its current link.
type Member struct {
	*Replica
	Link Link
}

// connection identifies one connection to a replica.
type connection struct {
	link  Link
	epoch uint64
}

func (m *Member) connection() connection { return connection{m.Link, m.Link.Epoch()} }

// Replica is the state of a replica that outlives its link. The zero value is a replica about which
// nothing is known. It is safe for concurrent use.
type Replica struct {
	Key uint32 // from 1, never reused

	shared  *Shared     // nil before the first roster with the replica
	place   int         // in the latest roster; guarded by shared.mu
	touched atomic.Bool // it is in shared.touched

	inFlight atomic.Int32

	// ramp bounds the attempts of waiting calls while the connection they waited for is new. ramped
	// is the connection for which it last began.
	ramp   Ramp
	ramped atomic.Pointer[connection]

	// crash is the connection whose loss was last counted as a crash.
	crash atomic.Pointer[connection]

	// loss is the last attempt that was lost.
	loss atomic.Pointer[loss]

	suspect atomic.Bool  // has failed since its last success, or is ejected, so that a success matters
	ejected atomic.Bool  // is ejected, on trial or not
	trial   atomic.Bool  // is ejected, but one call may try it
	doubt   atomic.Int32 // Standing.Doubt
	took    atomic.Int64 // how long its last answer took; zero before the first

	unproven atomic.Bool // has a new connection after a failed dial or a loss, and has not answered since

	answers atomic.Int64 // how many there were
	waiting atomic.Int32 // attempts in flight that began after the last answer
	first   atomic.Int64 // when the first of those began

	mu          sync.Mutex // guards what follows
	standing    Standing
	since       time.Duration // when it was last ejected or reinstated: earlier attempts do not count
	ejectedWith connection    // the connection at its ejection
	watch       int           // number of the latest Watch
	unwatched   bool          // that has ended before the replica was healthy
	unhealthy   bool          // a probe has found it unhealthy since its ejection
}

// loss records with which connection, and when, an attempt was lost.
type loss struct {
	connection
	at time.Duration
}

// lossTime is how long a lost attempt outweighs the state of the replica's connection. gRPC ends
// the attempt a moment before it reports the new state, and the next call should not fail because
// of that. The bound is for connections that outlive the loss.
const lossTime = time.Second

// JustLost reports whether an attempt was recently lost with the connection that the replica still
// appears to have.
func (m *Member) JustLost(now time.Duration) bool {
	l := m.loss.Load()
	return l != nil && l.connection == m.connection() && now-l.at < lossTime
}

// InFlight returns how many attempts are in flight at the replica.
func (r *Replica) InFlight() int { return int(r.inFlight.Load()) }

// Ejected reports whether the replica is ejected, on trial or not.
func (r *Replica) Ejected() bool { return r.ejected.Load() }

// excluded reports whether the replica is ejected and no call may try it.
func (r *Replica) excluded() bool { return r.ejected.Load() && !r.trial.Load() }

// Lease is the right to make an attempt at a replica, and its record until it ends.
type Lease struct {
	Member
	Start      time.Duration
	Method     *Latency
	HedgeDelay time.Duration // after which a hedge is due; zero: never

	conn    connection // on which the attempt is made
	answers int64      // of the replica, when the attempt began
}

// Begin records that the attempt begins. It reports whether the replica has a connection.
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

// end records that the attempt has ended.
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
// number. It returns false if there is no place, or if the replica is ejected and another call has
// taken its trial. chosenEjected says that the replica was chosen although it is ejected.
func (r *Replica) acquire(limit int32, chosenEjected bool) bool {
	if !r.enter(limit) {
		return false
	}
	if r.ejected.Load() && !chosenEjected && !r.trial.CompareAndSwap(true, false) && r.ejected.Load() {
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

// crashed reports whether the loss of the connection has not been counted yet. All attempts in
// flight are lost with it, and it counts once.
func (r *Replica) crashed(conn connection) bool {
	last := r.crash.Load()
	if last != nil && last.link == conn.link && last.epoch >= conn.epoch {
		return false
	}
	return r.crash.CompareAndSwap(last, &conn)
}
