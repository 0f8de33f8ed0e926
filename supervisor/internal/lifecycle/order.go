package lifecycle

import "slices"

// Move is a replica that is to be replaced by one at another address, or at the
// same. Empty: it serves nowhere.
type Move struct{ From, To string }

// StepKind is how a step of a rolling restart goes about a replica.
type StepKind int

const (
	StepReplace StepKind = iota // stop it, launch it, wait until it is ready
	StepStop                    // stop it only, so that another can have its address
	StepStart                   // launch one that was stopped, and wait until it is ready
)

// Step is one step of a rolling restart.
type Step struct {
	Kind  StepKind
	Index int // of the move
}

// Order returns the steps that make the moves one at a time: each replica's new
// address is free when it is launched. It keeps the order of the moves where
// that allows it. Only where replicas swap addresses is one of them stopped
// while another is replaced.
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

// Layers sorts groups by what they come after: each is in a later layer than
// all those. After has the names that a group comes after; names of others than
// groups do not matter. Groups that come after each other, in a circle, are in
// no layer, nor are those after them; these groups alone are returned then.
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

// inCircle returns groups without those that none of the others comes after.
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
