package check

import (
	"cmp"
	"slices"
	"time"
)

// checkValues checks that an incarnation's answers can come from a counter that counts each request
// once, at some time between the start and the end of its attempt.
func (r *replica) checkValues(f *findings, l *life) {
	slices.SortFunc(l.replies, func(a, b reply) int { return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(a.call, b.call)) })
	for i := 1; i < len(l.replies); i++ {
		if a, b := l.replies[i-1], l.replies[i]; a.value == b.value {
			f.add(unique, "%s incarnation %d: calls %d and %d both got the value %d", r.name, l.number, a.call, b.call, a.value)
		}
	}
	byEnd := slices.SortedFunc(slices.Values(l.replies), func(a, b reply) int { return cmp.Compare(a.end, b.end) })
	slices.SortFunc(l.replies, func(a, b reply) int { return cmp.Compare(a.start, b.start) })
	r.checkOrder(f, l, byEnd)
	r.checkGaps(f, l, byEnd)
}

// checkOrder checks that a reply has a higher value than all replies that ended before its attempt
// began.
func (r *replica) checkOrder(f *findings, l *life, byEnd []reply) {
	var highest reply // of those that have ended
	ended := 0
	for _, b := range l.replies {
		for ; ended < len(byEnd) && byEnd[ended].end+rounding <= b.start; ended++ {
			if byEnd[ended].value > highest.value {
				highest = byEnd[ended]
			}
		}
		if b.value < highest.value {
			f.add(realTime, "%s incarnation %d: call %d got the value %d after call %d had got %d",
				r.name, l.number, b.call, b.value, highest.call, highest.value)
		}
	}
}

// checkGaps checks that no reply has a value above the number of attempts that had begun by its
// end. It reports only the first such reply of the incarnation.
func (r *replica) checkGaps(f *findings, l *life, byEnd []reply) {
	begun := 0
	for _, b := range byEnd {
		for begun < len(l.replies) && l.replies[begun].start <= b.end+rounding {
			begun++
		}
		if ambiguous := r.ambiguousIn(l, b.end); b.value > uint64(begun+ambiguous) {
			f.add(gaps, "%s incarnation %d: call %d got the value %d, when only %d attempts that it answered and %d that it may have counted had begun",
				r.name, l.number, b.call, b.value, begun, ambiguous)
			return
		}
	}
}

// ambiguousIn returns how many ambiguous attempts may have reached the incarnation by the given
// time.
func (r *replica) ambiguousIn(l *life, by time.Duration) int {
	begun, _ := slices.BinarySearch(r.starts, min(by+rounding, l.end+r.slack())+1)
	before, _ := slices.BinarySearch(r.ends, l.begin-r.slack())
	return max(begun-before, 0)
}
