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

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
)

// modeled lists the illnesses that virtualWorld simulates.
var modeled = []illness{illHangs, illStopped, illRefuses, illBlackHole, illHangsUp, illFails, illSlow, illRefusesStreams, illDrains}

// randomScenario returns a random scenario. Its times are odd numbers, so that few events coincide
// by chance.
func randomScenario(seed uint64) scenario {
	rnd := rand.New(rand.NewPCG(seed, 3))
	s := scenario{world: randomWorld(rnd), Seed: seed}
	s.Mean += 7
	s.Deadline += 501
	for _, phases := range s.Replicas {
		for i := range phases {
			phases[i].ill = modeled[rnd.IntN(len(modeled))]
		}
	}
	s.addCallers(rand.New(rand.NewPCG(seed, 5)))
	if rnd.IntN(4) == 0 {
		return s // the zero policy, and any order
	}
	if rnd.IntN(4) == 0 {
		s.Calls, s.Every = 200, s.Every/10
	}
	p := randomPolicy(rnd)
	addToPolicy(rnd, &p)
	for i, d := range []*time.Duration{&p.Timeout, &p.Pause, &p.MaxWait, &p.Hedge.After} {
		if *d > 0 {
			*d += time.Duration(11 + 101*i)
		}
	}
	p.Order, p.Idempotent = 0, nil // the world's
	s.Policy = p
	return s
}

// addCallers adds the rest of a scenario: another method, callers that cancel, replicas that push
// back, and an outage of all replicas.
func (s *scenario) addCallers(rnd *rand.Rand) {
	if rnd.IntN(3) == 0 {
		s.Other = other{1 + rnd.IntN(4), rnd.IntN(2) == 0, rnd.IntN(2) == 0, time.Duration(rnd.IntN(3)) * 103 * ms, time.Duration(rnd.IntN(3)) * 53 * ms}
	}
	if rnd.IntN(3) == 0 {
		s.Cancel, s.After = 1+rnd.IntN(5), 17+time.Duration(rnd.Int64N(int64(s.Deadline)))
	}
	if rnd.IntN(3) == 0 {
		s.Pushback = []int{-1, 1, 53, 251}[rnd.IntN(4)]
	}
	if rnd.IntN(3) == 0 {
		// Not illHangsUp: the loss of a connection causes simultaneous dials of others, in more
		// orders than can be tried.
		outages := []illness{illHangs, illStopped, illRefuses, illBlackHole, illFails, illSlow, illRefusesStreams, illDrains}
		ill, span := outages[rnd.IntN(len(outages))], int64(s.Calls)*int64(s.Every)
		begin, length := time.Duration(rnd.Int64N(span)), time.Duration(rnd.Int64N(span/4))
		for i := range s.Replicas {
			from := begin + time.Duration(101*i)
			phases := slices.DeleteFunc(s.Replicas[i], func(x phase) bool { return x.until > from })
			s.Replicas[i] = append(phases, phase{ill, from, from + length})
		}
	}
}

// addToPolicy sets fields that randomPolicy does not set.
func addToPolicy(rnd *rand.Rand, p *failover.Policy) {
	pick := func(from ...time.Duration) time.Duration { return from[rnd.IntN(len(from))] }
	if rnd.IntN(3) == 0 {
		p.PauseGrowth = failover.Growth{Factor: 1 + rnd.Float64(), Max: pick(0, 50*ms), Jitter: rnd.Float64()}
	}
	if rnd.IntN(3) == 0 {
		p.Redial = failover.Redial{Every: pick(0, 5*ms, 200*ms), Linger: pick(0, 100*ms, 5*time.Second), PerSecond: rnd.IntN(30), Timeout: pick(0, 100*ms)}
	}
	if rnd.IntN(3) == 0 {
		p.Ejection = failover.Ejection{Off: rnd.IntN(4) == 0, After: 1 + rnd.IntN(4), Probe: pick(0, 51*ms), MaxShare: rnd.Float64()}
	}
	if p.Hedge.After > 0 && rnd.IntN(3) == 0 {
		p.Hedge.Quantile = 0.9
	}
	if p.Budget.Ratio > 0 {
		p.Budget.PerSecond, p.Budget.Burst = float64(rnd.IntN(3)), rnd.IntN(5)
	}
}

// ties determines the order of simultaneous events.
type ties struct {
	rnd    *rand.Rand
	chosen []int
	kind   []virtual.Tie
	at     []time.Duration // when
	given  int             // how many of chosen are given; the rest are chosen as needed
}

// choose returns a number below n, mostly 0, which selects the usual order.
func (t *ties) choose(now time.Duration, kind virtual.Tie, n int) int {
	i := len(t.at)
	t.at, t.kind = append(t.at, now), append(t.kind, kind)
	if i >= t.given {
		t.chosen = append(t.chosen, 0)
		if t.rnd != nil && t.rnd.IntN(4) == 0 {
			t.chosen[i] = t.rnd.IntN(n)
		}
	}
	return t.chosen[i] % n
}

// otherwise returns ties that differ before a given time: in one tie of a kind, mostly a late one,
// and in all later ones, or only in some of that kind.
func (t *ties) otherwise(before time.Duration, rnd *rand.Rand) *ties {
	kind := virtual.Tie(rnd.IntN(int(virtual.TieKinds)))
	var those []int
	for i, at := range t.at {
		if at <= before && t.kind[i] == kind {
			those = append(those, i)
		}
	}
	if len(those) == 0 {
		return &ties{rnd: rnd}
	}
	most := len(those)
	first := those[most-1-min(int(rnd.ExpFloat64()*math.Pow(float64(most), rnd.Float64())), most-1)]
	if rnd.IntN(3) == 0 {
		return &ties{rnd: rnd, chosen: slices.Clone(t.chosen[:first]), given: first}
	}
	other := &ties{rnd: rnd, chosen: slices.Clone(t.chosen[:len(t.at)]), given: len(t.at)}
	other.chosen[first] += 1 + rnd.IntN(3)
	return other
}

// parting returns when two journals begin to differ, and their lines there; Forever if they do not.
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

// follow searches for an order of simultaneous events in which the virtual client does what the
// real one has done. It returns how many orders it has tried, at most most, and where the first and
// the best of them begin to differ.
func (s scenario) follow(t *testing.T, real []journalLine, most int) (tried int, first []journalLine, best time.Duration) {
	rnd, order := rand.New(rand.NewPCG(s.Seed, 4)), new(ties)
	first = s.virtual(t, order)
	best, same := parting(real, first)
	for tried = 1; best != virtual.Forever && tried < most; tried++ {
		other := order.otherwise(best, rnd)
		if at, i := parting(real, s.virtual(t, other)); i >= same {
			best, same, order = at, i, other
		}
	}
	return tried, first, best
}

// verdict is the result of comparing the clients in a scenario.
type verdict int

const (
	verdictSame    verdict = iota
	verdictTied            // the same, with an unusual order of simultaneous events
	verdictOpen            // no order was found, and the real client does something else the next time
	verdictDiffers         // no order was found
)

// judge plays a scenario with both clients, and searches for an order in which they agree. It plays
// the real client up to the given number of times. If they differ, it returns where.
func (s scenario) judge(t *testing.T, plays, orders int) (v verdict, where string) {
	var real, first []journalLine
	for range plays {
		before := real
		real = s.real(t)
		tried, played, best := s.follow(t, real, orders)
		switch {
		case best == virtual.Forever && tried == 1:
			return verdictSame, ""
		case best == virtual.Forever:
			return verdictTied, ""
		case before != nil && !slices.Equal(before, real):
			return verdictOpen, ""
		}
		first = played
	}
	_, i := parting(real, first)
	list := func(all []journalLine) (text string) {
		for _, l := range all[i:min(i+3, len(all))] {
			text += "\n\t\t" + l.text
		}
		return text
	}
	return verdictDiffers, fmt.Sprintf("\treal:%s\n\tvirtual:%s", list(real), list(first))
}

// String returns the scenario as a test case.
func (s scenario) String() string {
	return fmt.Sprintf("scenario{\n\tworld: %v,\n\tPolicy: %s,\n\tSeed: %d, Other: %#v, Cancel: %d, After: %d, Pushback: %d,\n}",
		s.world, literal(reflect.ValueOf(s.Policy)), s.Seed, s.Other, s.Cancel, s.After, s.Pushback)
}

// literal returns a struct of numbers, booleans and such structs as a Go literal, without zero
// fields.
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

// shrunk returns the smallest scenario found that is still bad.
func (s scenario) shrunk(bad func(scenario) bool) scenario {
	for again := true; again; {
		s.world = s.world.shrink(func(w world) bool { return bad(s.in(w)) })
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

// in returns the scenario in another world.
func (s scenario) in(w world) scenario {
	s.world = w
	return s
}

// smallerPolicies returns scenarios whose policies are one step simpler.
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
	for _, drop := range []func(*scenario){func(s *scenario) { s.Other = other{} }, func(s *scenario) { s.Cancel = 0 }, func(s *scenario) { s.Pushback = 0 }} {
		smaller := s
		if drop(&smaller); smaller.Other != s.Other || smaller.Cancel != s.Cancel || smaller.Pushback != s.Pushback {
			all = append(all, smaller)
		}
	}
	return all
}

// The virtual client makes the same attempts as the real one, at the same replicas, at the same
// times, with the same outcomes.
func TestVirtualIsReal(t *testing.T) {
	n, verdicts := times(100), map[verdict]int{}
	if testing.Short() || raced {
		n /= 5
	}
	for seed := range uint64(n) {
		s := randomScenario(seed)
		v, where := s.judge(t, 5, 2000)
		verdicts[v]++
		if v == verdictDiffers {
			t.Errorf("%v\n%s", s, where)
			s = s.shrunk(func(s scenario) bool {
				v, _ := s.judge(t, 2, 100)
				return v == verdictDiffers
			})
			_, where = s.judge(t, 1, 1)
			t.Errorf("shrunk: %v\n%s", s, where)
		}
	}
	t.Logf("%d scenarios: %d the same, %d with an unusual order of what happens at the same time, %d in which the real client differs "+
		"from run to run", n, verdicts[verdictSame], verdicts[verdictTied], verdicts[verdictOpen])
	if most := 1 + n/100; verdicts[verdictOpen] > most {
		t.Errorf("%d scenarios are open, want %d at most", verdicts[verdictOpen], most)
	}
}
