package core

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// seen returns the candidates as an examination of every replica shows them.
func (s *Shared) seen(members []Member, now time.Duration) (all []Candidate) {
	longest := time.Duration(0)
	for _, m := range members {
		longest = max(longest, time.Duration(m.took.Load()))
	}
	limit := s.Limit()
	for i := range members {
		m := &members[i]
		n, waiting, doubt := m.inFlight.Load(), int(m.waiting.Load()), int(m.doubt.Load())
		stuck := waiting >= s.stuckAfter && now-time.Duration(m.first.Load()) > StuckAfter(longest)
		if stuck || waiting > 0 && m.unproven.Load() {
			doubt = max(doubt, 1)
		}
		ramp := m.ramp.Limit(limit, now)
		all = append(all, Candidate{
			Key: m.Key, InFlight: n, Ready: m.Link.Ready(), Dialing: m.Link.Dialing(), Lost: m.JustLost(now), Ejected: m.excluded(), Doubt: doubt,
			Full: limit > 0 && n >= limit, Ramped: ramp > 0 && n >= ramp,
		})
	}
	return all
}

// Whatever happens to replicas, decisions see their current state.
func TestRosterIsUpToDate(t *testing.T) {
	var stuck, ramped, full, lost, ejected, doubted int
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s Shared
		s.Init(Policy{
			Rules: Rules{Rounds: 2, Wait: rnd.IntN(2) == 0, Idempotent: true}, AdaptiveLimit: rnd.IntN(2) == 0, MaxInFlight: rnd.IntN(2) * 20,
			Ejection: Ejection{After: 1 + rnd.IntN(3), Probe: time.Second, MaxShare: 0.5},
		}, seed)
		members := make([]Member, 1+rnd.IntN(9))
		for i := range members {
			members[i] = Member{&Replica{Key: uint32(i + 1)}, &link{ready: true, epoch: 1}}
		}
		roster := s.Use(members)
		latency, now := new(Latency), time.Duration(0)
		var leases []*Lease
		var watches []int
		news := Observer{Ejected: func(m Member, w Watch) { watches = append(watches, int(m.Key)-1) }, Reinstated: func(Member) {}}
		terms := Terms{Deadline: Forever, Rules: &s.Policy.Rules, Hedging: new(Hedging), Method: latency}
		busy := 4 + 8*rnd.IntN(2) // higher means more attempts in flight
		for range 300 {
			now += time.Duration(rnd.ExpFloat64() * float64(20*time.Millisecond))
			switch m := &members[rnd.IntN(len(members))]; rnd.IntN(4 + busy) {
			case 0:
				l := m.Link.(*link)
				if l.ready, l.down = !l.ready, l.ready && rnd.IntN(2) == 0; l.ready {
					l.epoch++
				}
				s.Changed([]Member{*m}, rnd.IntN(2) == 0, now)
			case 1:
				if len(watches) > 0 {
					w := members[watches[rnd.IntN(len(watches))]]
					w.Probed(w.watch, Finding(rnd.IntN(3)), now, func() {})
				}
			case 2, 3, 4:
				if len(leases) == 0 {
					break
				}
				i := rnd.IntN(len(leases))
				l, says := leases[i], []Evidence{EvidenceOK, EvidenceOK, EvidenceOK, EvidenceFailed, EvidenceLost, EvidenceCutOff, EvidenceNone, EvidenceUnprocessed}[rnd.IntN(8)]
				leases = slices.Delete(leases, i, i+1)
				s.Settle(l, End{Evidence: says, Answered: says == EvidenceOK || says == EvidenceFailed, Sent: true}, now, news)
				s.Release(l.Replica)
			default:
				terms.Number++
				d, ok := s.Next(&terms, new(Call), roster, false, now)
				if !ok {
					t.Fatalf("seed %d: the roster is not the latest", seed)
				}
				if d.Action != ActionTry {
					break
				}
				l := &Lease{Member: members[d.Index], Method: latency}
				if leases = append(leases, l); rnd.IntN(8) > 0 {
					l.Begin(now)
				} else {
					leases = leases[:len(leases)-1]
					s.Abandon(l.Replica, now)
				}
			}
			s.mu.Lock()
			got, want := s.current(now).candidates.all, s.seen(members, now)
			s.mu.Unlock()
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: at %v, decisions see\n%+v, want\n%+v", seed, now, got, want)
			}
			since := func(yes bool, n *int) {
				if yes {
					*n++
				}
			}
			for i, x := range got {
				since(roster.stuck.of(i) != Forever, &stuck)
				since(x.Ramped && !x.Full, &ramped)
				since(x.Full, &full)
				since(x.Lost && x.Ready, &lost)
				since(x.Ejected, &ejected)
				since(x.Doubt > 0, &doubted)
			}
		}
	}
	if min(stuck, ramped, full, lost, ejected, doubted) < 100 {
		t.Errorf("%d stuck, %d ramped, %d full, %d lost, %d ejected, %d in doubt: want all of them often", stuck, ramped, full, lost, ejected, doubted)
	}
}

// Calls avoid a replica at which enough attempts have waited for unusually long.
func TestStuck(t *testing.T) {
	for _, tc := range []struct {
		waiting      int32
		first, usual time.Duration
		want         bool
	}{
		{3, 51 * ms, 0, true}, {3, 50 * ms, 0, false}, {2, time.Hour, 0, false}, {3, 300 * ms, 100 * ms, false}, {3, 301 * ms, 100 * ms, true},
	} {
		var s Shared
		s.Init(Policy{Ejection: Ejection{After: 3}}, 0)
		members := []Member{{&Replica{Key: 1}, &link{ready: true}}, {&Replica{Key: 2}, &link{ready: true}}}
		members[0].waiting.Store(tc.waiting)
		members[1].took.Store(int64(tc.usual))
		s.Use(members)
		if got := s.current(tc.first).candidates.all[0].Doubt > 0; got != tc.want {
			t.Errorf("%d attempts that wait, the first for %v, where %v is usual: %v, want %v", tc.waiting, tc.first, tc.usual, got, tc.want)
		}
	}
}
