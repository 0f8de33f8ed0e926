package trials

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment/design"
)

// Shard is a share of the trials of a design, for runs that divide them: of Count shards the one of that Index, from 0. The zero value
// is all of them.
type Shard struct{ Index, Count int }

// MaxShards is how many shards a design may have.
const MaxShards = 10_000

// ParseShard parses INDEX/COUNT, such as 0/5. Where the text has no index, as in /5, it is the one given, which may be missing: nil.
func ParseShard(text string, index *int) (Shard, error) {
	i, n, ok := strings.Cut(text, "/")
	count, err := strconv.Atoi(n)
	if !ok || err != nil || count < 1 || count > MaxShards {
		return Shard{}, fmt.Errorf("%q: want INDEX/COUNT, such as 0/5, with a count of 1 to %d", text, MaxShards)
	}
	s := Shard{Count: count}
	switch {
	case i != "":
		if s.Index, err = strconv.Atoi(i); err != nil {
			return Shard{}, fmt.Errorf("%q: want INDEX/COUNT, such as 0/%d", text, count)
		}
	case index == nil:
		return Shard{}, fmt.Errorf("%q: want an index before the slash, such as 0/%d", text, count)
	default:
		s.Index = *index
	}
	if s.Index < 0 || s.Index >= s.Count {
		return Shard{}, fmt.Errorf("%q: index %d: want 0 to %d", text, s.Index, s.Count-1)
	}
	return s, nil
}

// String returns INDEX/COUNT; empty for the zero value.
func (s Shard) String() string {
	if s.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

// Of returns the shard's trials, in their order: each Count-th, so that all shards have tried all cells about equally often.
func (s Shard) Of(all []design.Trial) []design.Trial {
	if s.Count == 0 {
		return all
	}
	var own []design.Trial
	for i := s.Index; i < len(all); i += s.Count {
		own = append(own, all[i])
	}
	return own
}
