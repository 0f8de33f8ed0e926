package core

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// lineOf returns a line of calls with the given numbers, which joined in the given order.
func lineOf(rules *Rules, numbers ...uint64) *Line[string] {
	l := new(Line[string])
	for _, n := range numbers {
		l.Join(&Waiter[string]{Terms: Terms{Number: n, Deadline: Forever, Rules: rules}})
	}
	return l
}

func numbers(waiting []*Waiter[string]) (all []uint64) {
	for _, w := range waiting {
		all = append(all, w.Number)
	}
	return all
}

func TestLineIsOrderedByAge(t *testing.T) {
	l := lineOf(nil, 7, 3, 9, 1)
	if got, want := numbers(l.waiting), []uint64{1, 3, 7, 9}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	third := l.waiting[2]
	if !l.Leave(third) || l.Leave(third) {
		t.Error("a call leaves once")
	}
	if got, want := numbers(l.Shed(1)), []uint64{3, 9}; !slices.Equal(got, want) {
		t.Errorf("shed %v, want the newest, %v", got, want)
	}
	if got, want := numbers(l.waiting), []uint64{1}; !slices.Equal(got, want) {
		t.Errorf("%v are left, want %v", got, want)
	}
	if got := l.Shed(1); got != nil {
		t.Errorf("shed %v, want none", got)
	}
}

func TestLineServesTheOldestFirst(t *testing.T) {
	wait := &Rules{Rounds: 1, Wait: true}
	for _, tc := range []struct {
		name   string
		places []int // free at each replica, whatever the candidates say
		full   []bool
		want   []uint64 // served
		at     []int
	}{
		{"no room", []int{1, 1}, []bool{true, true}, nil, nil},
		{"one place", []int{1, 0}, []bool{false, true}, []uint64{1}, []int{0}},
		{"a place each", []int{1, 1}, []bool{false, false}, []uint64{1, 2}, []int{0, 1}},
		{"a place that another has taken", []int{0, 1}, []bool{false, false}, []uint64{1}, []int{1}},
		{"places for all", []int{2, 2}, []bool{false, false}, []uint64{1, 2, 3}, []int{0, 0, 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := lineOf(wait, 3, 1, 2)
			replicas := make([]Candidate, len(tc.places))
			for i := range replicas {
				replicas[i] = Candidate{Key: uint32(i + 1), Ready: true, Full: tc.full[i]}
			}
			var got []uint64
			var at []int
			all := NewCandidates(replicas...)
			l.Serve(all, func(w *Waiter[string]) Moment { return Moment{Remaining: w.Deadline} }, func(i int) bool {
				taken := tc.places[i] > 0
				tc.places[i]--
				x := replicas[i]
				x.Full = tc.places[i] <= 0
				all.Set(i, x)
				return taken
			}, func(w *Waiter[string], d Decision) {
				got, at = append(got, w.Number), append(at, d.Index)
			})
			if !slices.Equal(got, tc.want) || !slices.Equal(at, tc.at) {
				t.Errorf("served %v at %v, want %v at %v", got, at, tc.want, tc.at)
			}
			if l.Len() != 3-len(tc.want) {
				t.Errorf("%d still wait", l.Len())
			}
		})
	}
}

// A call that has run out of time gives up with ReasonNoTime while others wait.
func TestLineServesOtherDecisions(t *testing.T) {
	l := lineOf(&Rules{Rounds: 1, Wait: true, Idempotent: true}, 1, 2)
	l.waiting[0].Deadline = 5 * ms
	var got []Decision
	l.Serve(NewCandidates(Candidate{Key: 1, Ready: true}), func(w *Waiter[string]) Moment {
		return Moment{Remaining: w.Deadline, Typical: 10 * ms}
	}, func(int) bool { return true }, func(_ *Waiter[string], d Decision) { got = append(got, d) })
	if len(got) != 2 || got[0].Action != ActionGiveUp || got[0].Reason != ReasonNoTime || got[1].Action != ActionTry {
		t.Errorf("got %+v, want no time for the first, as another waits, and the replica for the second", got)
	}
}

func TestWaitLeft(t *testing.T) {
	for _, tc := range []struct {
		name                           string
		least, most, waited, remaining time.Duration
		want                           time.Duration
	}{
		{"neither a bound nor a deadline", 0, 0, 0, Forever, time.Minute},
		{"a part of the minute is over", 0, 0, 20 * time.Second, Forever, 40 * time.Second},
		{"a deadline", 0, 0, time.Hour, 3 * time.Second, 3 * time.Second},
		{"a deadline that an attempt has to fit in", time.Second, 0, 0, 3 * time.Second, 2 * time.Second},
		{"a bound", 0, time.Second, 0, Forever, time.Second},
		{"both", 0, time.Second, 400 * ms, 3 * time.Second, 600 * ms},
		{"more than the bound", 0, time.Second, 2 * time.Second, Forever, -time.Second},
	} {
		r := Rules{MinTimeout: tc.least}
		if got := r.WaitLeft(tc.most, tc.waited, tc.remaining); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Calls that wait are skipped only if none has a chance.
func TestLineAsksIfThereIsAChance(t *testing.T) {
	chances, none := 0, 0
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := &Rules{Rounds: 1 + rnd.IntN(2), Wait: true, Idempotent: true}
		all := make([]Candidate, 1+rnd.IntN(4))
		for i := range all {
			all[i] = randomCandidate(rnd, uint32(i+1))
			all[i].Full = rnd.IntN(2) == 0
		}
		l, replicas := new(Line[string]), NewCandidates(all...)
		for n := range 1 + rnd.IntN(3) {
			w := &Waiter[string]{Terms: Terms{Number: uint64(n + 1), Deadline: Forever, Rules: r}}
			for i := range all {
				w.Call.tried.set(all[i].Key, rnd.IntN(r.Rounds+1))
			}
			l.Join(w)
		}
		chance := false
		for _, w := range l.waiting {
			c := w.Call
			chance = chance || c.Next(r, anytime, replicas).Action == ActionTry
		}
		asked := l.anyChance(replicas)
		switch {
		case chance && !asked:
			t.Fatalf("seed %d: no call is asked, but one has a chance at %+v", seed, all)
		case chance:
			chances++
		case !asked:
			none++
		}
		l.Shed(0)
		if l.exhausted != 0 {
			t.Fatalf("seed %d: %d of no calls are exhausted", seed, l.exhausted)
		}
	}
	if min(chances, none) < 300 {
		t.Errorf("%d times there was a chance, %d times no call was asked; want both often", chances, none)
	}
}
