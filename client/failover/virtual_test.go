package failover_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover/virtual"
)

// modelled are the illnesses that virtualWorld knows.
var modelled = []illness{illHangs, illRefuses, illHangsUp, illFails, illSlow}

// randomScenario returns a world with a policy. Its times are odd, so that little happens at the same time by chance.
func randomScenario(seed uint64) scenario {
	rnd := rand.New(rand.NewPCG(seed, 3))
	s := scenario{world: randomWorld(rnd), Seed: seed}
	s.Mean += 7
	s.Deadline += 501
	for _, phases := range s.Replicas {
		for i := range phases {
			phases[i].ill = modelled[rnd.IntN(len(modelled))]
		}
	}
	if rnd.IntN(4) == 0 {
		return s // the zero policy, and any order
	}
	p := randomPolicy(rnd)
	for i, d := range []*time.Duration{&p.Timeout, &p.Pause, &p.MaxWait, &p.Hedge.After} {
		if *d > 0 {
			*d += time.Duration(11 + 101*i)
		}
	}
	p.Order, p.Idempotent = 0, nil // the world's
	s.Policy = p
	return s
}

// ties are the orders in which things happen that happen at the same time.
type ties struct {
	rnd    *rand.Rand
	chosen []int
	at     []time.Duration // when
	given  int             // of chosen: the others are chosen as it goes
}

// choose returns one of n numbers: mostly 0, which stands for the usual order.
func (t *ties) choose(now time.Duration, n int) int {
	if i := len(t.at); i < t.given {
		t.at = append(t.at, now)
		return t.chosen[i] % n
	}
	t.at, t.chosen = append(t.at, now), append(t.chosen, 0)
	if t.rnd != nil && t.rnd.IntN(4) == 0 {
		t.chosen[len(t.chosen)-1] = t.rnd.IntN(n)
	}
	return t.chosen[len(t.chosen)-1]
}

// otherwise returns other ties, with which something may be else before a time.
func (t *ties) otherwise(before time.Duration, rnd *rand.Rand) *ties {
	n, _ := slices.BinarySearch(t.at, before+1)
	n -= int(min(rnd.ExpFloat64()*math.Pow(float64(n+1), rnd.Float64()), float64(n))) // mostly a late one
	if n > 0 && rnd.IntN(2) == 0 {
		other := &ties{rnd: rnd, chosen: slices.Clone(t.chosen), given: len(t.chosen)}
		other.chosen[n-1] += 1 + rnd.IntN(3)
		return other
	}
	return &ties{rnd: rnd, chosen: slices.Clone(t.chosen[:n]), given: n}
}

// parting is when two journals begin to differ, and what they have then; Forever where they do not.
func parting(a, b []journalLine) (at time.Duration, i int) {
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	at = virtual.Forever
	for _, lines := range [][]journalLine{a[i:], b[i:]} {
		if len(lines) > 0 {
			at = min(at, lines[0].at)
		}
	}
	return at, i
}

// follow looks for an order of what happens at the same time in which the virtual client does what the real one has done. It returns how
// many it has tried, and where the first and the best of them begin to differ.
func (s scenario) follow(t *testing.T, real []journalLine) (tried int, first []journalLine, best time.Duration) {
	rnd, order := rand.New(rand.NewPCG(s.Seed, 4)), new(ties)
	first = s.virtual(t, order)
	best, _ = parting(real, first)
	for tried = 1; best != virtual.Forever && tried < 1000; tried++ {
		other := order.otherwise(best, rnd)
		if at, _ := parting(real, s.virtual(t, other)); at >= best {
			best, order = at, other
		}
	}
	return tried, first, best
}

// differs plays a scenario with both clients. It says where the virtual one first does something else than the real one; empty: nowhere.
// tied says that what happens at the same time had to have an unusual order.
func (s scenario) differs(t *testing.T) (where string, tied bool) {
	real := s.real(t)
	tried, first, best := s.follow(t, real)
	if best == virtual.Forever {
		return "", tried > 1
	}
	_, i := parting(real, first)
	list := func(all []journalLine) (text string) {
		for _, l := range all[i:min(i+3, len(all))] {
			text += "\n\t\t" + l.text
		}
		return text
	}
	return fmt.Sprintf("\treal:%s\n\tvirtual:%s", list(real), list(first)), false
}

// String returns the scenario as a test case.
func (s scenario) String() string {
	return fmt.Sprintf("scenario{\n\tworld: %v,\n\tPolicy: %s,\n\tSeed: %d,\n}", s.world, literal(reflect.ValueOf(s.Policy)), s.Seed)
}

// literal returns a struct of numbers, booleans and such structs in Go, without what is zero.
func literal(v reflect.Value) string {
	if v.Kind() != reflect.Struct {
		return fmt.Sprintf("%#v", v.Interface())
	}
	var fields []string
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			fields = append(fields, v.Type().Field(i).Name+": "+literal(f))
		}
	}
	return v.Type().String() + "{" + strings.Join(fields, ", ") + "}"
}

// shrunk returns a scenario that is as small as can be found and still bad.
func (s scenario) shrunk(bad func(scenario) bool) scenario {
	for again := true; again; {
		s.world = s.world.shrink(func(w world) bool { return bad(scenario{w, s.Policy, s.Seed}) })
		again = false
		for _, smaller := range s.smallerPolicies() {
			if bad(smaller) {
				s, again = smaller, true
				break
			}
		}
		for fewer := s; fewer.Calls > 1; s, again = fewer, true {
			if fewer.Calls--; !bad(fewer) {
				break
			}
		}
	}
	return s
}

// smallerPolicies returns scenarios in which one thing less is asked for.
func (s scenario) smallerPolicies() (all []scenario) {
	v := reflect.ValueOf(&s.Policy).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			was := reflect.ValueOf(f.Interface())
			f.SetZero()
			all = append(all, s)
			f.Set(was)
		}
	}
	return all
}

// The virtual client makes the same attempts as the real one, at the same replicas, at the same times, with the same outcomes.
func TestVirtualIsReal(t *testing.T) {
	n, tied := times(100), 0
	for seed := range uint64(n) {
		s := randomScenario(seed)
		where, inOtherOrder := s.differs(t)
		if inOtherOrder {
			tied++
		}
		if where == "" {
			continue
		}
		s = s.shrunk(func(s scenario) bool {
			where, _ := s.differs(t)
			return where != ""
		})
		where, _ = s.differs(t)
		t.Errorf("%v\n%s", s, where)
	}
	t.Logf("%d scenarios, %d of them with what happens at the same time in another order", n, tied)
}
