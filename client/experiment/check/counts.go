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

// checkDefinite checks that the incarnation counted whatever it answered. Requests in flight when
// it reported its counts may have been counted and answered later.
func (r *replica) checkDefinite(f *findings, l *life) {
	c := l.count
	if c == nil {
		return
	}
	answered, highest := uint64(len(l.replies)), l.highest()
	switch {
	case c.Counted > c.Arrived || c.InFlight > c.Arrived || c.Crash > c.Arrived:
		f.add(definite, "%s incarnation %d: it reported that %d requests arrived, but %d were counted, %d were in flight, and number %d crashed it",
			r.name, l.number, c.Arrived, c.Counted, c.InFlight, c.Crash)
	case answered > c.Arrived:
		f.add(definite, "%s incarnation %d: %d requests arrived, but %d were answered", r.name, l.number, c.Arrived, answered)
	case highest > c.Counted+c.InFlight:
		f.add(definite, "%s incarnation %d: %d requests were counted and %d were in flight, but it answered the value %d",
			r.name, l.number, c.Counted, c.InFlight, highest)
	}
}

// checkAccounted checks that ambiguous attempts account for the requests that arrived or were
// counted but not answered, each attempt for one. An incarnation that did not report its counts has
// counted at least the highest value that it answered.
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
	add := func(what string, unanswered []int) {
		for i, left := range r.unaccounted(unanswered) {
			if l := r.lives[i]; left > 0 {
				f.add(accounted, "%s incarnation %d: %d requests %s, %d of them were answered, and no attempt accounts for %d of the other %d",
					r.name, l.number, len(l.replies)+unanswered[i], what, len(l.replies), left, unanswered[i])
			}
		}
	}
	add("were counted", counted)
	add("arrived", arrived)
}

// unaccounted takes the number of requests of each incarnation and returns how many of them are
// left after each ambiguous attempt has accounted for one. The greedy choice leaves the fewest:
// attempts come in order of end, and each takes a request of the earliest possible incarnation,
// since later attempts reach at least as far. Union-find skips the incarnations without requests
// left.
func (r *replica) unaccounted(requests []int) []int {
	left := slices.Clone(requests)
	open := make([]int, len(left)+1) // for each incarnation, a link towards the next that has requests left
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
