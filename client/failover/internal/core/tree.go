package core

import (
	"math"
	"time"
)

// summary is a value that summarizes several values.
type summary[T any] interface {
	comparable
	and(T) T
}

// tree is a segment tree: it keeps summaries of a sequence of values, of pairs, of fours, and so
// on. Changing a value takes logarithmic time.
type tree[T summary[T]] struct {
	size int // a power of two
	all  []T // all[i] summarizes all[2i] and all[2i+1]; the values begin at index size
}

// newTree returns a tree of n values equal to none.
func newTree[T summary[T]](n int, none T) tree[T] {
	size := 1
	for size < n {
		size *= 2
	}
	t := tree[T]{size, make([]T, 2*size)}
	for i := len(t.all) - 1; i > 0; i-- {
		if t.all[i] = none; i < size {
			t.all[i] = t.all[2*i].and(t.all[2*i+1])
		}
	}
	return t
}

func (t *tree[T]) of(i int) T { return t.all[t.size+i] }

func (t *tree[T]) set(i int, x T) {
	i += t.size
	for t.all[i] != x {
		if t.all[i] = x; i == 1 {
			return
		}
		i /= 2
		x = t.all[2*i].and(t.all[2*i+1])
	}
}

// best is the lowest rank of some candidates, and how many have it.
type best struct {
	rank int64
	n    int
}

func (a best) and(b best) best {
	switch {
	case a.rank < b.rank:
		return a
	case a.rank > b.rank:
		return b
	}
	return best{a.rank, a.n + b.n}
}

// ranking finds the candidates of the lowest rank.
type ranking struct{ tree tree[best] }

func newRanking(n int) ranking { return ranking{newTree(n, best{rankUnfit, 1})} }

func (r *ranking) set(i int, rank int64) { r.tree.set(i, best{rank, 1}) }

func (r *ranking) of(i int) int64 { return r.tree.of(i).rank }

func (r *ranking) least() best { return r.tree.all[1] }

// before returns how many candidates before the i-th have the lowest rank.
func (r *ranking) before(i int) (n int) {
	for i += r.tree.size; i > 1; i /= 2 {
		if x := r.tree.all[i&^1]; i%2 == 1 && x.rank == r.least().rank {
			n += x.n
		}
	}
	return n
}

// nth returns the index of the k-th candidate of the lowest rank, from 0.
func (r *ranking) nth(k int) int {
	i := 1
	for i < r.tree.size {
		i *= 2
		if x := r.tree.all[i]; x.rank != r.least().rank {
			i++
		} else if k >= x.n {
			k -= x.n
			i++
		}
	}
	return i - r.tree.size
}

// extent is the minimum and maximum of some numbers.
type extent struct{ least, most int32 }

func (a extent) and(b extent) extent { return extent{min(a.least, b.least), max(a.most, b.most)} }

// tallies has a number for each index, and finds those in a range.
type tallies struct{ tree tree[extent] }

func newTallies(n int) tallies { return tallies{newTree(n, extent{math.MaxInt32, math.MinInt32})} }

func (t *tallies) set(i int, n int32) { t.tree.set(i, extent{n, n}) }

// within appends the indexes whose numbers are at least least and below most.
func (t *tallies) within(to []int, least, most int32) []int { return t.below(1, to, least, most) }

// below is within for the part of the tree under all[i].
func (t *tallies) below(i int, to []int, least, most int32) []int {
	switch x := t.tree.all[i]; {
	case x.most < least || x.least >= most:
		return to
	case i >= t.tree.size:
		return append(to, i-t.tree.size)
	}
	return t.below(2*i+1, t.below(2*i, to, least, most), least, most)
}

// instant is a time; Forever means none. Its summary is the earliest.
type instant time.Duration

func (a instant) and(b instant) instant { return min(a, b) }

// agenda has a time for each index, and finds the earliest.
type agenda struct{ tree tree[instant] }

func newAgenda(n int) agenda { return agenda{newTree(n, instant(Forever))} }

func (a *agenda) set(i int, at time.Duration) { a.tree.set(i, instant(at)) }

func (a *agenda) of(i int) time.Duration { return time.Duration(a.tree.of(i)) }

// first returns the earliest time and its index.
func (a *agenda) first() (at time.Duration, i int) {
	x := a.tree.all[1]
	for i = 1; i < a.tree.size; {
		if i *= 2; a.tree.all[i] != x {
			i++
		}
	}
	return time.Duration(x), i - a.tree.size
}
