package trials

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment/design"
)

// Shard is a share of the trials of a design: number Index, from 0, of Count shards. It divides a
// run among machines. The zero value is the whole run.
type Shard struct{ Index, Count int }

// MaxShards is the greatest Count that ParseShard accepts.
const MaxShards = 10_000

// ParseShard parses a shard written as INDEX/COUNT, such as 0/5. The count is 1 to MaxShards, the
// index 0 to count-1.
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

// String returns the shard as INDEX/COUNT, or an empty string for the zero value.
func (s Shard) String() string {
	if s.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

// Of returns every Count-th trial of all, from Index on. The trials of a design are in random
// order, so each shard covers the cells about equally often.
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
