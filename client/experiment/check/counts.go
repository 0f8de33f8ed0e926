package check

import "slices"

// highest returns the highest value that the incarnation has answered.
func (l *life) highest() uint64 {
	var v uint64
	for _, r := range l.replies {
		v = max(v, r.value)
	}
	return v
}

// checkDefinite checks that what the incarnation has answered, it has counted. What was in flight
// when it read its count may have been counted and answered after that.
func (r *replica) checkDefinite(f *findings, l *life) {
	c := l.count
	if c == nil {
		return
	}
	answered, highest := uint64(len(l.replies)), l.highest() // and no value twice
	switch {
	case c.Counted > c.Arrived || c.InFlight > c.Arrived || c.Crash > c.Arrived:
		f.add(definite, "%s incarnation %d: %d requests arrived, and it says that %d were counted, %d in flight, number %d crashed it",
			r.name, l.number, c.Arrived, c.Counted, c.InFlight, c.Crash)
	case answered > c.Arrived:
		f.add(definite, "%s incarnation %d: %d requests arrived, and %d were answered", r.name, l.number, c.Arrived, answered)
	case highest > c.Counted+c.InFlight:
		f.add(definite, "%s incarnation %d: %d requests were counted and %d in flight, and a value is %d",
			r.name, l.number, c.Counted, c.InFlight, highest)
	}
}

// checkAccounted checks that what the incarnations have counted, and what has arrived, beyond what
// they have answered, the ambiguous attempts account for, each of them once. Of an incarnation that
// could not tell its count, the highest value that it answered is the least that it has counted.
func (r *replica) checkAccounted(f *findings) {
	counted, arrived := make([]int, len(r.lives)), make([]int, len(r.lives))
	for i, l := range r.lives {
		least := max(l.highest(), uint64(len(l.replies)))
		n, m := least, least
		if l.count != nil {
			n, m = max(least, l.count.Counted), max(least, l.count.Arrived)
		}
		counted[i], arrived[i] = int(n)-len(l.replies), int(m)-len(l.replies)
	}
	tell := func(what string, beyond []int) {
		for i, left := range r.unaccounted(beyond) {
			if l := r.lives[i]; left > 0 {
				f.add(accounted, "%s incarnation %d: %d requests %s, %d of them were answered, and of the other %d no attempt accounts for %d",
					r.name, l.number, len(l.replies)+beyond[i], what, len(l.replies), beyond[i], left)
			}
		}
	}
	tell("were counted", counted)
	tell("arrived", arrived)
}

// unaccounted returns, of so many requests of each incarnation, how many are left when each
// ambiguous attempt has accounted for one of them. It leaves as few as can be: the attempts come in
// the order of their ends, and each takes the earliest request that it can, as those that follow
// reach as far or farther.
func (r *replica) unaccounted(requests []int) []int {
	left := slices.Clone(requests)
	open := make([]int, len(left)+1) // leads from each incarnation to the first, from it on, of which requests are left
	for i := range open {
		open[i] = i
		if i < len(left) && left[i] <= 0 {
			open[i] = i + 1
		}
	}
	find := func(i int) int {
		for open[i] != i {
			open[i] = open[open[i]]
			i = open[i]
		}
		return i
	}
	for _, a := range r.ambiguous {
		first, next := r.during(a)
		i := find(first)
		if i >= next {
			continue
		}
		if left[i]--; left[i] == 0 {
			open[i] = i + 1
		}
	}
	return left
}
