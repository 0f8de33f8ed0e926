package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// scan is a simple version of choose, which examines all replicas one after another.
func (c *Call) scan(r *Rules, m Moment, all []Candidate) int {
	onlyLeftOut := !slices.ContainsFunc(all, func(x Candidate) bool { return x.Ready && !x.Ejected && c.tried.of(x.Key) < r.Rounds })
	type rank [3]int
	var least []int // indexes of the lowest rank
	var its rank
	for i, x := range all {
		tried, full := c.tried.of(x.Key), x.full(r.Wait)
		available := x.Ready && !x.Ejected && !full
		var this rank
		switch {
		case full, tried >= r.Rounds, !r.Wait && tried > c.rounds:
			continue
		case r.Wait && (available || onlyLeftOut && x.Ready):
			this = rank{0, tried, x.Doubt}
		case r.Wait:
			continue
		case available && !x.Lost:
			this = rank{0, 0, x.Doubt}
		case !x.Ejected:
			this = rank{1}
		default:
			this = rank{2}
		}
		switch order := slices.Compare(this[:], its[:]); {
		case least == nil || order < 0:
			least, its = []int{i}, this
		case order == 0:
			least = append(least, i)
		}
	}
	if least == nil {
		return -1
	}
	n := uint64(len(least))
	switch r.Order {
	case OrderRoundRobin:
		if len(least) == len(all) {
			return int(m.Start % n)
		}
		k, place := m.Start/uint64(len(all))%n, int(m.Start%uint64(len(all)))
		ahead, _ := slices.BinarySearch(least, place)
		return least[(uint64(ahead)+k)%n]
	case OrderRandom:
		return least[m.Dice%n]
	case OrderLeastInFlight:
		a := m.Dice % n
		b := a
		if n > 1 {
			b = (a + 1 + m.Dice>>32%(n-1)) % n
		}
		if all[least[b]].InFlight < all[least[a]].InFlight {
			a = b
		}
		return least[a]
	case OrderSticky:
		for _, i := range least {
			if all[i].Key == m.Last {
				return i
			}
		}
	}
	return least[0]
}

func randomCandidate(rnd *rand.Rand, key uint32) Candidate {
	const seldom = 4
	return Candidate{
		Key: key, InFlight: rnd.Int32N(5), Doubt: max(0, rnd.IntN(6)-3), Ready: rnd.IntN(seldom) > 0, Dialing: rnd.IntN(2) == 0,
		Lost: rnd.IntN(seldom) == 0, Ejected: rnd.IntN(seldom) == 0, Full: rnd.IntN(seldom) == 0, Ramped: rnd.IntN(seldom) == 0,
	}
}

// Whatever happens to the replicas and the call, the choice and the counts are those of a scan.
func TestChoiceIsThatOfAScan(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		all := make([]Candidate, 1+rnd.IntN(12))
		for i := range all {
			all[i] = randomCandidate(rnd, uint32(i+1))
		}
		replicas := NewCandidates(all...)
		r := &Rules{Rounds: 1 + rnd.IntN(3), Order: Order(rnd.IntN(5)), Wait: rnd.IntN(2) == 0}
		var c Call
		for range 20 {
			i := rnd.IntN(len(all))
			all[i] = randomCandidate(rnd, all[i].Key)
			replicas.Set(i, all[i])
			m := Moment{Remaining: Forever, Start: rnd.Uint64N(100), Dice: rnd.Uint64(), Last: rnd.Uint32N(12)}
			got, want := c.choose(r, m, replicas, c.anyReplica(r)), c.scan(r, m, all)
			if got != want {
				t.Fatalf("seed %d: chose %d, want %d: %+v of %+v in %+v", seed, got, want, *r, c, all)
			}
			for _, k := range []kind{kindAny, kindReady, kindEjected, kindRoom, kindAvailable, kindHopeful} {
				most, want := rnd.IntN(4), 0
				for _, x := range all {
					if x.is(k, r.Wait) && c.tried.of(x.Key) <= most {
						want++
					}
				}
				if got := c.count(r, replicas, k, most); got != want {
					t.Fatalf("seed %d: %d of kind %d, want %d: of %+v in %+v", seed, got, k, want, c, all)
				}
			}
			switch {
			case got >= 0 && rnd.IntN(3) > 0:
				c.tried.set(all[got].Key, c.tried.of(all[got].Key)+1)
			case rnd.IntN(3) == 0:
				c.rounds = min(c.rounds+1, r.Rounds-1)
			}
		}
	}
}

// BenchmarkDecision measures a decision after the change of a replica.
func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{3, 100, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 1))
			all := make([]Candidate, n)
			for i := range all {
				all[i] = randomCandidate(rnd, uint32(i+1))
			}
			replicas, r := NewCandidates(all...), &Rules{Rounds: 3, Order: OrderLeastInFlight}
			b.ReportAllocs()
			for b.Loop() {
				i := rnd.IntN(n)
				x := replicas.all[i]
				x.Ready = !x.Ready
				replicas.Set(i, x)
				new(Call).Next(r, Moment{Remaining: Forever, Dice: rnd.Uint64()}, replicas)
			}
		})
	}
}
