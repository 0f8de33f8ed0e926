package failover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// replicasOf returns candidates a, b, c …; those named in ready are.
func replicasOf(n int, ready string) []candidate {
	var rs []candidate
	for i := range n {
		id := string(rune('a' + i))
		rs = append(rs, candidate{id: id, ready: slices.Contains([]byte(ready), id[0])})
	}
	return rs
}

// walk drives a call whose every attempt fails and returns what it did: "ab|c" tries a and b, pauses, tries c.
func walk(t *testing.T, c call, replicas func(step int) []candidate) string {
	t.Helper()
	var did string
	for step := range 100 {
		rs := replicas(step)
		switch d := c.next(rs); d.action {
		case try:
			did += rs[d.index].id
			c.note(Lost)
		case pause:
			did += "|"
		case giveUp:
			return did
		}
	}
	t.Fatalf("no end after %q", did)
	return ""
}

func TestCallOrder(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rounds int
		start  uint64
		ready  string
		want   string
	}{
		{"zero rounds are one", 0, 0, "abc", "abc"},
		{"three rounds, two pauses", 3, 0, "abc", "abc|abc|abc"},
		{"nobody ready: the order stays", 1, 0, "", "abc"},
		{"ready before the others", 1, 0, "c", "cab"},
		{"start further on", 2, 1, "abc", "bca|bca"},
		{"start wraps", 1, 5, "abc", "cab"},
		{"start and ready", 1, 2, "ab", "abc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCall(&Policy{Rounds: tc.rounds}, tc.start)
			if got := walk(t, c, func(int) []candidate { return replicasOf(3, tc.ready) }); got != tc.want {
				t.Errorf("tried %q, want %q", got, tc.want)
			}
		})
	}
}

func TestCallPauseAndEnds(t *testing.T) {
	p := &Policy{Rounds: 2, Pause: 200 * time.Millisecond}
	one := replicasOf(1, "a")
	c := newCall(p, 0)
	c.next(one)
	c.note(Timeout)
	if d := c.next(one); d.action != pause || d.wait != p.Pause {
		t.Errorf("after a full round: %+v, want a pause of %v", d, p.Pause)
	}
	c.next(one)
	c.note(Rejected)
	if d := c.next(one); d.action != giveUp {
		t.Errorf("after a rejection: %+v, want to give up", d)
	}
	c = newCall(p, 0)
	if first, second := c.next(nil), c.next(nil); first.action != pause || second.action != giveUp {
		t.Errorf("without replicas: %+v, then %+v, want a pause and the end", first, second)
	}
}

// Replicas come and go and change their readiness at every step; a round still tries none twice, and skips none that
// stays.
func TestCallRoundIsDistinct(t *testing.T) {
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rnd.IntN(20)
		stays := string(rune('a' + rnd.IntN(n)))
		c := newCall(&Policy{Rounds: 1 + rnd.IntN(3)}, rnd.Uint64())
		did := walk(t, c, func(int) []candidate {
			rs := slices.DeleteFunc(replicasOf(n, ""), func(r candidate) bool { return r.id != stays && rnd.IntN(4) == 0 })
			rnd.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
			for i := range rs {
				rs[i].ready = rnd.IntN(2) == 0
			}
			return rs
		})
		if err := checkRounds(did, c.policy.Rounds, stays); err != nil {
			t.Fatalf("seed %d: %q: %v", seed, did, err)
		}
	}
}

func checkRounds(did string, rounds int, stays string) error {
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
		if p[rune(stays[0])] != 1 {
			return fmt.Errorf("round %d leaves out %s", i+1, stays)
		}
	}
	return nil
}
