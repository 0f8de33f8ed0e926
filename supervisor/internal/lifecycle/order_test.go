package lifecycle

import (
	"reflect"
	"slices"
	"testing"
)

func TestOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		moves []Move
		want  []Step
	}{
		"none":  {nil, nil},
		"stay":  {[]Move{{"1", "1"}, {"1", "1"}}, []Step{{StepReplace, 0}, {StepReplace, 1}}},
		"apart": {[]Move{{"1", "3"}, {"2", "4"}}, []Step{{StepReplace, 0}, {StepReplace, 1}}},
		"shift": {[]Move{{"1", "2"}, {"2", "3"}, {"3", "4"}}, []Step{{StepReplace, 2}, {StepReplace, 1}, {StepReplace, 0}}},
		"swap":  {[]Move{{"1", "2"}, {"2", "1"}}, []Step{{StepStop, 0}, {StepReplace, 1}, {StepStart, 0}}},
		"down":  {[]Move{{"", "1"}, {"1", "2"}}, []Step{{StepReplace, 1}, {StepReplace, 0}}},
	} {
		if got := Order(tt.moves); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
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
