package live

import (
	"reflect"
	"slices"
)

// Diff is the difference between two states in succession. To apply it to the earlier one:
//
//   - frame and now_us replace those of the state.
//   - cluster, replicas, groups, plans, scenario and recording, where present, replace those of the
//     state.
//   - loads has only the loads that changed, which replace those with the same id.
//   - For attempts, bands, crashes, marks and points, where present: drop items from the front of
//     the state's list until its first equals that of the difference, then append the items.
//
// In JavaScript:
//
//	for (const [k, v] of Object.entries(diff)) {
//	  if (k === "loads") for (const l of v) state.loads[state.loads.findIndex((o) => o.id === l.id)] = l;
//	  else if (v.items) {
//	    state[k].items.splice(0, v.first - state[k].first);
//	    state[k].first = v.first;
//	    state[k].items.push(...v.items);
//	  } else state[k] = v;
//	}
type Diff struct {
	Frame uint64 `json:"frame"`
	Now   Micros `json:"now_us"`

	Cluster   *Cluster   `json:"cluster,omitempty"`
	Replicas  []Replica  `json:"replicas,omitzero"`
	Groups    []Group    `json:"groups,omitzero"`
	Plans     []Plan     `json:"plans,omitempty"`
	Loads     []Load     `json:"loads,omitempty"`
	Scenario  *Scenario  `json:"scenario,omitempty"`
	Recording *Recording `json:"recording,omitempty"`

	Attempts *List[Attempt] `json:"attempts,omitempty"`
	Bands    *List[Band]    `json:"bands,omitempty"`
	Crashes  *List[Crash]   `json:"crashes,omitempty"`
	Marks    *List[Mark]    `json:"marks,omitempty"`
	Points   *List[Point]   `json:"points,omitempty"`
}

// Difference returns the difference that leads from one state of a session to a later one.
func Difference(from, to State) Diff {
	d := Diff{Frame: to.Frame, Now: to.Now}
	d.Cluster = changed(from.Cluster, to.Cluster)
	if !reflect.DeepEqual(from.Replicas, to.Replicas) {
		d.Replicas = to.Replicas
	}
	if !reflect.DeepEqual(from.Groups, to.Groups) {
		d.Groups = to.Groups
	}
	if !reflect.DeepEqual(from.Plans, to.Plans) {
		d.Plans = to.Plans
	}
	for i, l := range to.Loads {
		if !reflect.DeepEqual(from.Loads[i], l) {
			d.Loads = append(d.Loads, l)
		}
	}
	d.Scenario = changed(from.Scenario, to.Scenario)
	d.Recording = changed(from.Recording, to.Recording)
	d.Attempts = from.Attempts.until(to.Attempts)
	d.Bands = from.Bands.until(to.Bands)
	d.Crashes = from.Crashes.until(to.Crashes)
	d.Marks = from.Marks.until(to.Marks)
	d.Points = from.Points.until(to.Points)
	return d
}

// Empty reports whether only the time differs.
func (d Diff) Empty() bool {
	return reflect.DeepEqual(d, Diff{Frame: d.Frame, Now: d.Now})
}

// Apply changes s to the state to which the difference leads.
func (s *State) Apply(d Diff) {
	s.Frame, s.Now = d.Frame, d.Now
	replace(&s.Cluster, d.Cluster)
	if d.Replicas != nil {
		s.Replicas = d.Replicas
	}
	if d.Groups != nil {
		s.Groups = d.Groups
	}
	if d.Plans != nil {
		s.Plans = d.Plans
	}
	s.Loads = slices.Clone(s.Loads)
	for _, l := range d.Loads {
		for i := range s.Loads {
			if s.Loads[i].ID == l.ID {
				s.Loads[i] = l
			}
		}
	}
	replace(&s.Scenario, d.Scenario)
	replace(&s.Recording, d.Recording)
	s.Attempts.apply(d.Attempts)
	s.Bands.apply(d.Bands)
	s.Crashes.apply(d.Crashes)
	s.Marks.apply(d.Marks)
	s.Points.apply(d.Points)
}

func changed[T comparable](from, to T) *T {
	if from == to {
		return nil
	}
	return &to
}

func replace[T any](to *T, with *T) {
	if with != nil {
		*to = *with
	}
}

func (l List[T]) end() uint64 { return l.First + uint64(len(l.Items)) }

// until returns the difference that leads from l to a later list of the same sequence, or nil if
// they are equal.
func (l List[T]) until(later List[T]) *List[T] {
	if l.First == later.First && l.end() == later.end() {
		return nil
	}
	return &List[T]{later.First, later.Items[max(l.end(), later.First)-later.First:]}
}

// apply applies a difference. It does not change the items that l had before.
func (l *List[T]) apply(d *List[T]) {
	if d == nil {
		return
	}
	drop := min(d.First-l.First, uint64(len(l.Items)))
	l.First, l.Items = d.First, append(l.Items[drop:], d.Items...)
}

// add appends an item, and drops items at the front if there are more than most.
func (l *List[T]) add(item T, most int) {
	l.Items = append(l.Items, item)
	if n := len(l.Items) - most; n > 0 {
		l.drop(n)
	}
}

func (l *List[T]) drop(n int) {
	l.First, l.Items = l.First+uint64(n), l.Items[n:]
}

// trim drops items at the front while they are old.
func (l *List[T]) trim(old func(T) bool) {
	n := 0
	for n < len(l.Items) && old(l.Items[n]) {
		n++
	}
	if n > 0 {
		l.drop(n)
	}
}
