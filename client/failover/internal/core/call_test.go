package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// replicasOf returns candidates a, b, c …, whose keys are their letters. Those named in ready are
// ready.
func replicasOf(n int, ready string) []Candidate {
	var cs []Candidate
	for i := range n {
		key := 'a' + uint32(i)
		cs = append(cs, Candidate{Key: key, Ready: slices.Contains([]byte(ready), byte(key))})
	}
	return cs
}

func one() *Rules { return &Rules{Rounds: 1, Idempotent: true} }

var anytime = Moment{Remaining: Forever}

// walk drives a call whose attempts are all lost and returns what it did: "ab|c" means that it
// tried a and b, paused, and tried c; "~" is a wait, which ends the walk because nothing becomes
// available.
func walk(t *testing.T, r *Rules, m Moment, replicas func(step int) []Candidate) (did string, end Decision) {
	t.Helper()
	var c Call
	for step := range 100 {
		cs := replicas(step)
		switch d := c.Next(r, m, NewCandidates(cs...)); d.Action {
		case ActionTry:
			did += string(rune(cs[d.Index].Key))
			c.Note(Result{Sent: true})
		case ActionPause:
			did += "|"
		case ActionAwait:
			return did + "~", d
		case ActionGiveUp:
			return did, d
		}
	}
	t.Fatalf("no end after %q", did)
	return
}

func TestCallOrder(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rounds int
		order  Order
		start  uint64
		ready  string
		want   string
	}{
		{"one round", 1, OrderFirst, 0, "abc", "abc"},
		{"three rounds, two pauses", 3, OrderFirst, 0, "abc", "abc|abc|abc"},
		{"nobody ready: the order stays", 1, OrderFirst, 0, "", "abc"},
		{"ready before the others", 1, OrderFirst, 0, "c", "cab"},
		{"start further on", 2, OrderRoundRobin, 1, "abc", "bca|bca"},
		{"start wraps", 1, OrderRoundRobin, 5, "abc", "cba"},
		{"start and ready", 1, OrderRoundRobin, 2, "ab", "abc"},
		{"first does not start further on", 1, OrderFirst, 1, "abc", "abc"},
		{"sticky", 1, OrderSticky, 0, "abc", "bac"},
		{"sticky to one that is down", 1, OrderSticky, 0, "ac", "acb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Rules{Rounds: tc.rounds, Order: tc.order, Idempotent: true}
			m := Moment{Remaining: Forever, Start: tc.start, Last: 'b'}
			got, end := walk(t, r, m, func(int) []Candidate { return replicasOf(3, tc.ready) })
			if got != tc.want || end.Reason != ReasonSpent {
				t.Errorf("tried %q, then %+v, want %q and the rounds spent", got, end, tc.want)
			}
		})
	}
}

// A replica that has just lost an attempt with its connection ranks like one that is down. For a
// call that waits it makes no difference.
func TestLostConnection(t *testing.T) {
	lost := func(int) []Candidate {
		cs := replicasOf(3, "ac")
		cs[0].Lost = true
		return cs
	}
	if got, _ := walk(t, &Rules{Rounds: 2, Idempotent: true}, anytime, lost); got != "cab|cab" {
		t.Errorf("tried %q, want c before a and b", got)
	}
	if got, _ := walk(t, &Rules{Rounds: 1, Wait: true, Idempotent: true}, anytime, lost); got != "ac~" && got != "ac" {
		t.Errorf("waiting, tried %q, want a and c", got)
	}
}

// OrderRandom picks each of the equally good replicas equally often.
func TestRandomIsEven(t *testing.T) {
	counts := map[int]int{}
	rnd := rand.New(rand.NewPCG(1, 1))
	const n = 30_000
	for range n {
		cs := replicasOf(4, "abd")
		d := new(Call).Next(&Rules{Rounds: 1, Order: OrderRandom}, Moment{Remaining: Forever, Dice: rnd.Uint64()}, NewCandidates(cs...))
		counts[d.Index]++
	}
	for _, i := range []int{0, 1, 3} {
		if counts[i] < n/3-n/50 || counts[i] > n/3+n/50 {
			t.Errorf("picked %v of %d, want each of the three ready ones equally often", counts, n)
		}
	}
}

// The share of a replica that cannot be tried is spread evenly over the others, at the first
// attempt and after a failure.
func TestRoundRobinSpreadsAMissingShare(t *testing.T) {
	const all = 5
	for _, tc := range []struct {
		name   string
		refuse bool // the second replica fails its attempts instead of being down
	}{{"down", false}, {"failing", true}} {
		t.Run(tc.name, func(t *testing.T) {
			var got [all]int
			for start := range uint64(100 * all) {
				cs, c := replicasOf(all, "abcde"), new(Call)
				cs[1].Ready = tc.refuse
				r, m := &Rules{Rounds: 1, Order: OrderRoundRobin}, Moment{Remaining: Forever, Start: start}
				d := c.Next(r, m, NewCandidates(cs...))
				if d.Index == 1 {
					c.Note(Result{})
					d = c.Next(r, m, NewCandidates(cs...))
				}
				got[d.Index]++
			}
			if want := [all]int{125, 0, 125, 125, 125}; got != want {
				t.Errorf("the calls ended at %v, want %v", got, want)
			}
		})
	}
}

// OrderLeastInFlight picks the less loaded of two random replicas, so it never picks the busiest.
func TestLeastInFlight(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	seen := map[int]bool{}
	for range 1000 {
		cs := replicasOf(3, "abc")
		cs[0].InFlight, cs[1].InFlight, cs[2].InFlight = 5, 9, 1
		seen[new(Call).Next(&Rules{Rounds: 1, Order: OrderLeastInFlight}, Moment{Remaining: Forever, Dice: rnd.Uint64()}, NewCandidates(cs...)).Index] = true
	}
	if !seen[0] || seen[1] || !seen[2] {
		t.Errorf("picked %v, want the first and the last, and never the busiest", seen)
	}
}

func TestCallEnds(t *testing.T) {
	lost := Result{Sent: true}
	for _, tc := range []struct {
		name   string
		rules  Rules
		result Result
		m      Moment
		want   Decision // after the first attempt of a call with one replica
	}{
		{"rounds are spent", Rules{Rounds: 1, Idempotent: true}, lost, anytime, Decision{Action: ActionGiveUp, Reason: ReasonSpent}},
		{"the outcome is final", Rules{Rounds: 2, Idempotent: true}, Result{Final: true}, anytime, Decision{Action: ActionGiveUp, Reason: ReasonFinal}},
		{"sent, and not idempotent", Rules{Rounds: 2}, lost, anytime, Decision{Action: ActionGiveUp, Reason: ReasonAmbiguous}},
		{"unsent, and not idempotent", Rules{Rounds: 2}, Result{}, anytime, Decision{Action: ActionPause}},
		{"a pause", Rules{Rounds: 2, Pauses: Pauses{First: 9}, Idempotent: true}, lost, Moment{Remaining: 10}, Decision{Action: ActionPause, Wait: 9}},
		{"no time for the pause", Rules{Rounds: 2, Pauses: Pauses{First: 10}, Idempotent: true}, lost, Moment{Remaining: 10}, Decision{Action: ActionGiveUp, Reason: ReasonNoTime}},
		{"pushed back for good", Rules{Rounds: 2, Idempotent: true}, Result{Pushback: -1}, anytime, Decision{Action: ActionGiveUp, Reason: ReasonPushedBack}},
		{"pushed back too far", Rules{Rounds: 2, Idempotent: true}, Result{Pushback: 10}, Moment{Remaining: 10}, Decision{Action: ActionGiveUp, Reason: ReasonPushedBack}},
		{"pushed back", Rules{Rounds: 2, Idempotent: true}, Result{Pushback: 9}, Moment{Remaining: 10}, Decision{Action: ActionPause, Wait: 9}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Call
			if d := c.Next(&tc.rules, anytime, NewCandidates(replicasOf(1, "a")...)); d.Action != ActionTry {
				t.Fatalf("at first: %+v, want a try", d)
			}
			c.Note(tc.result)
			if got := c.Next(&tc.rules, tc.m, NewCandidates(replicasOf(1, "a")...)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// A pushback is obeyed once; then the call continues where it was.
func TestCallGoesOnAfterPushback(t *testing.T) {
	var c Call
	cs := NewCandidates(replicasOf(2, "ab")...)
	c.Next(one(), anytime, cs)
	c.Note(Result{Pushback: time.Second})
	c.Next(one(), anytime, cs)
	if d := c.Next(one(), anytime, cs); d.Action != ActionTry || d.Index != 1 || d.Round != 1 {
		t.Errorf("got %+v, want a try of the second replica in round 1", d)
	}
}

func TestWithoutReplicas(t *testing.T) {
	if got, _ := walk(t, &Rules{Rounds: 2}, anytime, func(int) []Candidate { return nil }); got != "|" {
		t.Errorf("did %q, want a pause and the end", got)
	}
	if got, _ := walk(t, &Rules{Rounds: 2, Wait: true}, anytime, func(int) []Candidate { return nil }); got != "~" {
		t.Errorf("under Wait did %q, want a wait, as replicas may come", got)
	}
}

// A call that does not wait tries ejected replicas last, and full ones not at all.
func TestCallPassesOver(t *testing.T) {
	cs := replicasOf(4, "abc")
	cs[0].Ejected, cs[1].Full = true, true
	if got, end := walk(t, one(), anytime, func(int) []Candidate { return cs }); got != "cda" || end.Reason != ReasonFull {
		t.Errorf("tried %q, then %+v; want cda, and b without room", got, end)
	}
}

func TestCallThatWaits(t *testing.T) {
	r := &Rules{Rounds: 2, Wait: true, Idempotent: true}
	for _, tc := range []struct {
		name    string
		prepare func(cs []Candidate)
		want    string
	}{
		{"all are healthy", func([]Candidate) {}, "abcabc"},
		{"one is down: it is worth a wait at last", func(cs []Candidate) { cs[1].Ready = false }, "acac~"},
		{"one is full", func(cs []Candidate) { cs[0].Full = true }, "bcbc~"},
		{"one is ejected", func(cs []Candidate) { cs[0].Ejected = true }, "bcbcaa"},
		{"one is ejected, the others are full", func(cs []Candidate) { cs[0].Ejected, cs[1].Full, cs[2].Full = true, true, true }, "~"},
		{"one is ejected, the others are down", func(cs []Candidate) { cs[0].Ejected, cs[1].Ready, cs[2].Ready = true, false, false }, "aa~"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cs := replicasOf(3, "abc")
			tc.prepare(cs)
			if got, _ := walk(t, r, anytime, func(int) []Candidate { return cs }); got != tc.want {
				t.Errorf("did %q, want %q", got, tc.want)
			}
		})
	}
	r.Pauses.First = 1
	if got, _ := walk(t, r, anytime, func(int) []Candidate { return replicasOf(2, "ab") }); got != "ab|a|b" {
		t.Errorf("did %q, want a pause before each return to a replica", got)
	}
}

// Replicas come, go and change their readiness at every step. Still a round tries none twice, and
// skips none that stays.
func TestCallRoundIsDistinct(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rnd.IntN(20)
		stays := 'a' + uint32(rnd.IntN(n))
		r := &Rules{Rounds: 1 + rnd.IntN(3), Order: Order(rnd.IntN(5)), Idempotent: true}
		did, _ := walk(t, r, Moment{Remaining: Forever, Start: rnd.Uint64(), Dice: rnd.Uint64()}, func(int) []Candidate {
			cs := slices.DeleteFunc(replicasOf(n, ""), func(x Candidate) bool { return x.Key != stays && rnd.IntN(4) == 0 })
			rnd.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
			for i := range cs {
				cs[i].Ready, cs[i].Ejected = rnd.IntN(2) == 0, rnd.IntN(4) == 0
			}
			return cs
		})
		if err := checkRounds(did, r.Rounds, rune(stays)); err != nil {
			t.Fatalf("seed %d: %q: %v", seed, did, err)
		}
	}
}

func checkRounds(did string, rounds int, stays rune) error {
	passes := []map[rune]int{{}}
	for _, r := range did {
		if r == '|' {
			passes = append(passes, map[rune]int{})
			continue
		}
		if passes[len(passes)-1][r]++; passes[len(passes)-1][r] > 1 {
			return fmt.Errorf("round %d tries %c twice", len(passes), r)
		}
	}
	if len(passes) != rounds {
		return fmt.Errorf("%d rounds, want %d", len(passes), rounds)
	}
	for i, p := range passes {
		if p[stays] != 1 {
			return fmt.Errorf("round %d leaves out %c", i+1, stays)
		}
	}
	return nil
}

// Every attempt of a call takes all its time. None begins that cannot end before the caller's
// deadline, none gets less than MinTimeout, and the last replica gets its share, if Timeout and
// MinTimeout permit that.
func TestTimeIsShared(t *testing.T) {
	for seed := range uint64(5000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		n := 1 + rnd.IntN(5)
		r := &Rules{Rounds: 1 + rnd.IntN(2), Idempotent: true, Wait: rnd.IntN(2) == 0,
			Pauses: Pauses{First: time.Duration(rnd.IntN(3)) * time.Second}, Timeout: time.Duration(rnd.IntN(5)) * time.Second}
		if most := int(r.Timeout / time.Second); most > 0 || r.Timeout == 0 {
			r.MinTimeout = time.Duration(rnd.IntN(max(most, 2))) * time.Second
		}
		left := time.Duration(1+rnd.IntN(20)) * time.Second
		whole, given, typical := left, []time.Duration(nil), time.Duration(0)
		if r.Timeout == 0 {
			typical = 1 // known, so another attempt may join
		}
		var c Call
		for over := false; !over; {
			rs := NewCandidates(replicasOf(n, "abcde"[:n])...)
			d := c.Next(r, Moment{Remaining: left, Usual: typical}, rs)
			switch d.Action {
			case ActionTry:
				for more := d.Join > 0; more && d.Join > 0; {
					if left -= d.Join; left <= 0 {
						t.Fatalf("seed %d: %+v: an attempt joins at the deadline or after it", seed, *r)
					}
					given = append(given, d.Join)
					var next Decision
					if next, more = c.Hedge(r, Moment{Remaining: left, Usual: typical}, rs, rs.all[d.Index].Key); more {
						d = next
					}
				}
				took := d.Timeout
				if took == 0 {
					took = left
				}
				if took > left || took < min(r.MinTimeout, left) || left < r.MinTimeout || r.Timeout > 0 && took > r.Timeout {
					t.Fatalf("seed %d: %+v: an attempt of %v with %v left", seed, *r, took, left)
				}
				left -= took
				given = append(given, took)
				c.Note(Result{Sent: true})
			case ActionPause:
				if d.Wait >= left {
					t.Fatalf("seed %d: a pause of %v with %v left", seed, d.Wait, left)
				}
				left -= d.Wait
			default:
				over = true
			}
		}
		if r.MinTimeout == 0 && r.Timeout == 0 {
			if len(given) < n {
				t.Fatalf("seed %d: %+v: %d of %d replicas were tried in %v", seed, *r, len(given), n, whole)
			}
			fair := whole / time.Duration(n)
			if last := given[n-1]; last < fair-time.Microsecond {
				t.Fatalf("seed %d: %+v: the last replica got %v of %v, want %v", seed, *r, last, whole, fair)
			}
		}
	}
}

// An attempt at a method that is not idempotent gets all the time if it will be sent, because no
// other can follow. Without a connection it gets its share.
func TestTimeIsNotSharedWhereNoOtherCouldFollow(t *testing.T) {
	r := &Rules{Rounds: 1}
	m := Moment{Remaining: 9 * time.Second}
	if d := new(Call).Next(r, m, NewCandidates(replicasOf(3, "abc")...)); d.Timeout != 0 {
		t.Errorf("at a replica that is ready: %v, want all there is", d.Timeout)
	}
	if d := new(Call).Next(r, m, NewCandidates(replicasOf(3, "")...)); d.Timeout != 3*time.Second {
		t.Errorf("at a replica that is down: %v, want a third", d.Timeout)
	}
}

// A call with less time left than attempts take gives up if others wait, and tries if none do.
func TestCallGivesUpItsTurn(t *testing.T) {
	r := &Rules{Rounds: 1, Wait: true, Idempotent: true}
	m := Moment{Remaining: 9, Typical: 10, Usual: 10}
	if d := new(Call).Next(r, m, NewCandidates(replicasOf(2, "ab")...)); d.Action != ActionTry || d.Timeout != 0 {
		t.Errorf("alone: %+v, want a try with all the time there is", d)
	}
	m.Crowded = true
	if d := new(Call).Next(r, m, NewCandidates(replicasOf(2, "ab")...)); d.Action != ActionGiveUp || d.Reason != ReasonNoTime {
		t.Errorf("in a crowd: %+v, want to give up", d)
	}
	m.Remaining = 15
	if d := new(Call).Next(r, m, NewCandidates(replicasOf(2, "ab")...)); d.Action != ActionTry || d.Timeout != 0 || d.Join != 10 {
		t.Errorf("with time for one attempt: %+v, want a try with all the time there is, which another joins after what attempts take", d)
	}
}
