package lifecycle

import (
	"net"
	"slices"
)

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
// replica is free when it is launched. A move comes before those ahead of it only if they need its
// old address. Only where replicas swap addresses is one of them stopped while others are replaced.
func Order(moves []Move) []Step {
	const (
		waiting = iota
		begun   // others have to be moved first
		stopped
		done
	)
	var steps []Step
	states, before := make([]int, len(moves)), blockers(moves)
	var move func(i int)
	move = func(i int) {
		states[i] = begun
		for _, other := range before[i] {
			switch states[other] {
			case waiting:
				move(other)
			case begun: // it has to wait for i
				states[other] = stopped
				steps = append(steps, Step{StepStop, other})
			}
		}
		kind := StepReplace
		if states[i] == stopped {
			kind = StepStart
		}
		states[i] = done
		steps = append(steps, Step{kind, i})
	}
	for i := range moves {
		if states[i] == waiting {
			move(i)
		}
	}
	return steps
}

// blockers returns, for each move to another address, the others whose old address clashes with it.
func blockers(moves []Move) [][]int {
	byPort := make(map[string][]int) // only addresses with the same port clash
	for i, m := range moves {
		byPort[port(m.From)] = append(byPort[port(m.From)], i)
	}
	all := make([][]int, len(moves))
	for i, m := range moves {
		if m.From == m.To {
			continue
		}
		for _, other := range byPort[port(m.To)] {
			if other != i && Clash(moves[other].From, m.To) {
				all[i] = append(all[i], other)
			}
		}
	}
	return all
}

// port returns the port of an address, or the whole address if it has none.
func port(addr string) string {
	if _, port, err := net.SplitHostPort(addr); err == nil {
		return port
	}
	return addr
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
