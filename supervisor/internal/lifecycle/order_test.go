package lifecycle

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

func TestOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		moves []Move
		want  []Step
	}{
		"none":      {nil, nil},
		"stay":      {[]Move{{"1", "1"}, {"1", "1"}}, []Step{{StepReplace, 0}, {StepReplace, 1}}},
		"apart":     {[]Move{{"1", "3"}, {"2", "4"}}, []Step{{StepReplace, 0}, {StepReplace, 1}}},
		"shift":     {[]Move{{"1", "2"}, {"2", "3"}, {"3", "4"}}, []Step{{StepReplace, 2}, {StepReplace, 1}, {StepReplace, 0}}},
		"swap":      {[]Move{{"1", "2"}, {"2", "1"}}, []Step{{StepStop, 0}, {StepReplace, 1}, {StepStart, 0}}},
		"down":      {[]Move{{"", "1"}, {"1", "2"}}, []Step{{StepReplace, 1}, {StepReplace, 0}}},
		"all hosts": {[]Move{{"127.0.0.1:1", "0.0.0.0:1"}, {"127.0.0.1:2", "0.0.0.0:2"}}, []Step{{StepReplace, 0}, {StepReplace, 1}}},
		"clash":     {[]Move{{"127.0.0.1:1", ":2"}, {"127.0.0.1:2", ":3"}}, []Step{{StepReplace, 1}, {StepReplace, 0}}},
		"silent":    {[]Move{{"", ""}, {"", ""}}, []Step{{StepReplace, 0}, {StepReplace, 1}}},
	} {
		if got := Order(tt.moves); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// Many replicas that move to the next port take a moment. Comparing each of them with all others at
// each step would take longer than tests may.
func TestOrderOfManyMoves(t *testing.T) {
	moves := make([]Move, 10_000)
	for i := range moves {
		moves[i] = Move{fmt.Sprintf("127.0.0.1:%d", 1000+i), fmt.Sprintf("127.0.0.1:%d", 1001+i)}
	}
	for i, s := range Order(moves) {
		if want := (Step{StepReplace, len(moves) - 1 - i}); s != want {
			t.Fatalf("step %d is %v, want %v", i, s, want)
		}
	}
}

func TestClash(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{"127.0.0.1:1", "0.0.0.0:1", true},
		{"127.0.0.1:1", "[::]:1", true},
		{"127.0.0.1:1", "[::ffff:127.0.0.1]:1", true},
		{"127.0.0.1:1", ":1", true},
		{"127.0.0.1:1", ":2", false},
		{"localhost:1", "127.0.0.1:1", true},
		{"localhost:1", "[::1]:1", true},
		{"localhost:1", "127.0.0.2:1", false},
		{"localhost:1", "0.0.0.0:1", true},
		{"localhost:1", ":1", true},
		{"localhost:1", "localhost:1", true},
		{"localhost:1", "localhost:2", false},
		{":1", "[::1]:1", true},
		{"one:1", "other:1", false},
		{"unix:///x", "unix:///x", true},
		{"unix:///x", ":1", false},
		{"", "", false},
		{"", ":1", false},
	} {
		if Clash(tt.a, tt.b) != tt.want || Clash(tt.b, tt.a) != tt.want {
			t.Errorf("%q and %q: want %v", tt.a, tt.b, tt.want)
		}
	}
}

// For all ways in which four replicas can change places between addresses, each replica starts at
// an address that is free, and ends at its new one.
func TestOrderOfEveryMove(t *testing.T) {
	addrs := []string{"1", "2", "3", "4"}
	var permute func(left, to []string)
	permute = func(left, to []string) {
		if len(to) == len(addrs) {
			checkOrder(t, addrs, to)
			return
		}
		for i := range left {
			permute(append(slices.Clone(left[:i]), left[i+1:]...), append(slices.Clone(to), left[i]))
		}
	}
	permute([]string{"1", "2", "3", "4", "5"}, nil)
}

func checkOrder(t *testing.T, from, to []string) {
	t.Helper()
	var moves []Move
	held := make(map[string]int)
	for i := range from {
		moves = append(moves, Move{from[i], to[i]})
		held[from[i]] = i
	}
	at := slices.Clone(from)
	down := 0
	for _, s := range Order(moves) {
		if s.Kind != StepStart {
			delete(held, at[s.Index])
		}
		if s.Kind == StepStop {
			at[s.Index] = ""
			if down++; down > 2 { // two swaps at most
				t.Errorf("%v: %d are down at a time", moves, down)
			}
			continue
		}
		if s.Kind == StepStart {
			down--
		}
		if _, ok := held[to[s.Index]]; ok {
			t.Errorf("%v: %s is still in use when %d starts there", moves, to[s.Index], s.Index)
		}
		held[to[s.Index]], at[s.Index] = s.Index, to[s.Index]
	}
	if !slices.Equal(at, to) {
		t.Errorf("%v: they end at %v", moves, at)
	}
}
