package core

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// link is a link in a given state.
type link struct {
	ready, down, dialing bool
	epoch                uint64
}

func (l *link) Ready() bool   { return l.ready }
func (l *link) Down() bool    { return l.down }
func (l *link) Dialing() bool { return l.dialing }
func (l *link) Epoch() uint64 { return l.epoch }

// However many attempts were lost with a connection, exactly one of them counts as the crash.
func TestCrashCountsOnce(t *testing.T) {
	before, after := &link{epoch: 1}, &link{epoch: 1} // idle mode
	var b Replica
	for _, tc := range []struct {
		conn connection
		want int32
	}{
		{connection{before, 2}, 1}, {connection{before, 2}, 0}, {connection{before, 1}, 0}, {connection{before, 3}, 1}, {connection{after, 0}, 1},
	} {
		var news atomic.Int32
		var victims sync.WaitGroup
		for range 16 {
			victims.Go(func() {
				if b.crashed(tc.conn) {
					news.Add(1)
				}
			})
		}
		victims.Wait()
		if n := news.Load(); n != tc.want {
			t.Errorf("the loss of connection %d counted for %d of 16, want %d", tc.conn.epoch, n, tc.want)
		}
	}
}

// gRPC ends an attempt before it reports that the connection broke. Decisions believe the attempt,
// for a while and about that connection only.
func TestLossIsBelieved(t *testing.T) {
	const now = time.Minute
	for _, tc := range []struct {
		name string
		loss func(a, b *Member) *loss
		want bool
	}{
		{"no loss", func(a, b *Member) *loss { return nil }, false},
		{"just now", func(a, b *Member) *loss { return &loss{a.connection(), now} }, true},
		{"a while ago", func(a, b *Member) *loss { return &loss{a.connection(), now + 1 - lossTime} }, true},
		{"long ago", func(a, b *Member) *loss { return &loss{a.connection(), now - lossTime} }, false},
		{"of a connection before", func(a, b *Member) *loss { return &loss{connection{a.Link, a.Link.Epoch() - 1}, now} }, false},
		{"of another replica's", func(a, b *Member) *loss { return &loss{b.connection(), now} }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Shared
			s.Init(Policy{Rules: Rules{Rounds: 1}, Ejection: Ejection{After: 3}}, 0)
			members := []Member{
				{&Replica{Key: 1}, &link{ready: true, epoch: 1}}, {&Replica{Key: 2}, &link{ready: true, epoch: 1}},
			}
			members[0].loss.Store(tc.loss(&members[0], &members[1]))
			roster := s.Use(members)
			if got := s.current(now).candidates.all[0].Lost; got != tc.want {
				t.Errorf("lost: %v, want %v", got, tc.want)
			}
			terms := Terms{Number: 1, Deadline: Forever, Rules: &s.Policy.Rules}
			d, _ := s.Next(&terms, new(Call), roster, false, now)
			if first := d.Index == 0; first == tc.want {
				t.Errorf("replica %d is tried", d.Index)
			}
		})
	}
}

// However many calls want a place concurrently, no more get one than the limit.
func TestPlacesAreNoMoreThanTheLimit(t *testing.T) {
	const limit = 3
	var b Replica
	var inside, taken atomic.Int32
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 5000 {
				if !b.acquire(limit, false) {
					continue
				}
				if n := inside.Add(1); n > limit {
					t.Errorf("%d have a place, want at most %d", n, limit)
				}
				taken.Add(1)
				runtime.Gosched()
				inside.Add(-1)
				b.inFlight.Add(-1)
			}
		})
	}
	callers.Wait()
	if b.inFlight.Load() != 0 || taken.Load() == 0 {
		t.Errorf("%d places are left over, of %d that were taken", b.inFlight.Load(), taken.Load())
	}
}

// A new connection does not reinstate a replica that broke its connections, nor does it later, when
// there is other evidence against the replica.
func TestNewConnectionReinstatesOnce(t *testing.T) {
	var s Shared
	s.Init(Policy{Ejection: Ejection{After: 1, Probe: time.Hour, MaxShare: 1}}, 0)
	at, news := time.Duration(0), Observer{Ejected: func(Member, Watch) {}, Reinstated: func(Member) {}}
	a := &link{ready: true, epoch: 1}
	members := []Member{{&Replica{Key: 1}, a}, {&Replica{Key: 2}, &link{ready: true, epoch: 1}}}
	s.Use(members)
	attempt := func(says Evidence) {
		l := Lease{Member: members[0], Method: new(Latency)}
		at += ms
		l.Begin(at)
		s.Settle(&l, End{Evidence: says, Sent: true}, at+ms, news)
	}
	s.Changed(members, false, at)
	attempt(EvidenceLost)
	a.epoch++
	at += 10 * ms
	s.Changed(members[:1], false, at)
	if !members[0].Ejected() {
		t.Fatal("a replica that breaks connections is reinstated with its next connection")
	}
	attempt(EvidenceCutOff)
	s.Changed(members, false, at+ms)
	if !members[0].Ejected() {
		t.Error("it is reinstated after a timeout without a new connection")
	}
	a.epoch++
	s.Changed(members[:1], false, at+ms)
	if members[0].Ejected() {
		t.Error("it is not reinstated with a new connection after a timeout")
	}
}
