package core

import "slices"

// marks is a small map from a replica's key to a number. Up to eight keys need no allocation.
// Copies are independent.
type marks struct {
	n    int
	few  [8]mark
	more []mark
}

type mark struct {
	key   uint32
	value int32
}

// len returns how many keys there are.
func (s *marks) len() int { return s.n + len(s.more) }

func (s *marks) at(i int) mark {
	if i < s.n {
		return s.few[i]
	}
	return s.more[i-s.n]
}

func (s *marks) of(key uint32) int {
	if m := s.find(key); m != nil {
		return int(m.value)
	}
	return 0
}

func (s *marks) set(key uint32, value int) {
	m := s.find(key)
	switch {
	case m == nil && s.n < len(s.few):
		s.few[s.n] = mark{key: key}
		m = &s.few[s.n]
		s.n++
	case m == nil:
		s.more = append(slices.Clone(s.more), mark{key: key})
		m = &s.more[len(s.more)-1]
	case len(s.more) > 0: // a copy of s shares them, and must not see the change
		s.more = slices.Clone(s.more)
		m = s.find(key)
	}
	m.value = int32(value)
}

func (s *marks) find(key uint32) *mark {
	for i := range s.few[:s.n] {
		if s.few[i].key == key {
			return &s.few[i]
		}
	}
	for i := range s.more {
		if s.more[i].key == key {
			return &s.more[i]
		}
	}
	return nil
}
