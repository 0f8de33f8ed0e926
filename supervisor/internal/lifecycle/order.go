package lifecycle

import "slices"

// Move is the replacement of a replica by one at another address, or the same. An empty address
// means that the replica does not listen.
type Move struct{ From, To string }

// StepKind is what a step of a rolling restart does with a replica.
type StepKind int

const (
	StepReplace StepKind = iota // stop the replica, launch it, and wait until it is ready
	StepStop                    // only stop it, so that another can have its address
	StepStart                   // launch one that was stopped, and wait until it is ready
)

// Step is one step of a rolling restart.
type Step struct {
	Kind  StepKind
	Index int // of the move
}

// Order returns the steps that make the moves one at a time, so that the new address of each
// replica is free when it is launched. It keeps the order of the moves as far as possible. Only
// where replicas swap addresses is one of them stopped while others are replaced.
func Order(moves []Move) []Step {
	var steps []Step
	holds, done := make([]bool, len(moves)), make([]bool, len(moves))
	for i, m := range moves {
		holds[i] = m.From != ""
	}
	isFree := func(addr string, but int) bool {
		for i, m := range moves {
			if i != but && holds[i] && m.From == addr {
				return false
			}
		}
		return true
	}
	next := func() (int, bool) {
		blocker := -1
		for i, m := range moves {
			switch {
			case done[i]:
			case m.From == m.To || isFree(m.To, i):
				return i, true
			case blocker < 0 && holds[i]:
				blocker = i
			}
		}
		return blocker, false
	}
	for stopped := make([]bool, len(moves)); ; {
		i, free := next()
		switch {
		case i < 0:
			return steps
		case !free:
			stopped[i] = true
			steps = append(steps, Step{StepStop, i})
		case stopped[i]:
			done[i] = true
			steps = append(steps, Step{StepStart, i})
		default:
			done[i] = true
			steps = append(steps, Step{StepReplace, i})
		}
		holds[i] = false
	}
}

// Layers sorts groups so that each is in a later layer than the groups that it comes after. The
// keys of after are names of groups; names that are not in groups are ignored. Groups that come
// after each other in a cycle are returned in circle. They are in no layer, and neither are the
// groups after them.
func Layers(groups []string, after map[string][]string) (layers [][]string, circle []string) {
	comesAfter := func(g string, others []string) bool {
		return slices.ContainsFunc(after[g], func(name string) bool { return slices.Contains(others, name) })
	}
	rest := slices.Clone(groups)
	for len(rest) > 0 {
		var layer, later []string
		for _, g := range rest {
			if comesAfter(g, rest) {
				later = append(later, g)
			} else {
				layer = append(layer, g)
			}
		}
		if len(layer) == 0 {
			return layers, inCircle(rest, comesAfter)
		}
		layers, rest = append(layers, layer), later
	}
	return layers, nil
}

// inCircle returns those of groups that come after each other: it repeatedly removes the groups
// that no other group comes after.
func inCircle(groups []string, comesAfter func(g string, others []string) bool) []string {
	for {
		needed := slices.DeleteFunc(slices.Clone(groups), func(g string) bool {
			return !slices.ContainsFunc(groups, func(other string) bool { return comesAfter(other, []string{g}) })
		})
		if len(needed) == len(groups) {
			return groups
		}
		groups = needed
	}
}
