package trials

import (
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/design"
)

// For any count, the shards have each trial once, in order, and differ in size by at most one.
func TestShardsHaveEachTrialOnce(t *testing.T) {
	d := &design.Design{Seed: 4, Repeats: 7, Parallel: 1, Cells: make([]design.Cell, 5)}
	all := d.Trials()
	for count := 1; count <= len(all)+2; count++ {
		var joined []design.Trial
		for i := range count {
			own := Shard{i, count}.Of(all)
			if len(own) < len(all)/count || len(own) > len(all)/count+1 {
				t.Errorf("shard %d of %d has %d of %d trials", i, count, len(own), len(all))
			}
			if !slices.IsSortedFunc(own, func(a, b design.Trial) int { return a.Number - b.Number }) {
				t.Errorf("shard %d of %d is not in order", i, count)
			}
			joined = append(joined, own...)
		}
		slices.SortFunc(joined, func(a, b design.Trial) int { return a.Number - b.Number })
		if !slices.Equal(joined, all) {
			t.Errorf("%d shards have %v, want %v", count, joined, all)
		}
	}
	if got := (Shard{}).Of(all); !slices.Equal(got, all) {
		t.Errorf("no shard has %v, want all", got)
	}
}

func TestParseShard(t *testing.T) {
	for _, text := range []string{"0/1", "4/5", "9999/10000"} {
		if s, err := ParseShard(text); err != nil || s.String() != text {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for text, want := range map[string]string{
		"5/5": `"5/5": index "5": want 0 to 4`, "-1/5": "want 0 to 4", "/5": `index "": want 0 to 4`, "x/5": `index "x"`, "0/0": "want INDEX/COUNT",
		"3": "want INDEX/COUNT", "": "want INDEX/COUNT", "1/2/3": "want INDEX/COUNT", "0/10001": "a count of 1 to 10000", "0/-1": "want INDEX/COUNT",
	} {
		if s, err := ParseShard(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", text, s, err, want)
		}
	}
}
