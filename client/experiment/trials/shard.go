package trials

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment/design"
)

// Shard is a share of the trials of a design, for runs that divide them: of Count shards the one of
// that Index, from 0. The zero value is all of them.
type Shard struct{ Index, Count int }

// MaxShards is how many shards a design may have.
const MaxShards = 10_000

// ParseShard parses INDEX/COUNT, such as 0/5.
func ParseShard(text string) (Shard, error) {
	index, count, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > MaxShards {
		return Shard{}, fmt.Errorf("%q: want INDEX/COUNT, such as 0/5, with a count of 1 to %d", text, MaxShards)
	}
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= n {
		return Shard{}, fmt.Errorf("%q: index %q: want 0 to %d", text, index, n-1)
	}
	return Shard{i, n}, nil
}

// String returns INDEX/COUNT; empty for the zero value.
func (s Shard) String() string {
	if s.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

// Of returns the shard's trials, in their order: each Count-th, so that all shards have tried all
// cells about equally often.
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
