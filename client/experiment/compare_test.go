package experiment

import (
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// find returns the difference of the metric in the cell of that title.
func find(t *testing.T, ds []Difference, cell string, m design.Metric) Difference {
	t.Helper()
	for _, d := range ds {
		if d.Cell == cell && d.Metric == m {
			return d
		}
	}
	t.Fatalf("no difference of %s in %q", m, cell)
	return Difference{}
}

func TestCompare(t *testing.T) {
	before := madeUp(cell("concurrency", "5"), cell("concurrency", "10"), cell("concurrency", "20"))
	addAll(before, 0, 10, 12, 9, 11, 10)
	addAll(before, 1, 10, 30, 20, 15, 40)
	addAll(before, 2, 10, 30, 20, 15, 40)
	after := madeUp(cell("concurrency", "10"), cell("concurrency", "5"))
	addAll(after, 0, 12, 33, 20, 11, 40)
	for i, ok := range []int{40, 41, 42, 41, 40} {
		add(after, 1, ok, 50, 30*ms+time.Duration(i)*ms)
	}
	after.Manifest.Design.Cells[1].Settings.Rounds = 7
	ds, err := Compare(before, after)
	if err != nil || len(ds) != 2*len(design.Metrics()) {
		t.Fatalf("%d differences, %v", len(ds), err)
	}
	for m, want := range map[design.Metric]Effect{
		design.Success: EffectBetter, design.Successes: EffectBetter, design.Throughput: EffectBetter,
		design.P50: EffectWorse, design.P99: EffectWorse, design.Makespan: EffectWorse, design.Attempts: EffectInconclusive,
	} {
		d := find(t, ds, "concurrency 5", m)
		if d.Effect != want || (d.Reason == "") != (want != EffectInconclusive) {
			t.Errorf("%s: %v %q, want %v: %+v", m, d.Effect, d.Reason, want, d.Change)
		}
	}
	if d := find(t, ds, "concurrency 5", design.Success); !slices.Equal(d.Settings, []SettingChange{{"rounds", "3", "7"}}) ||
		d.BaselineValue.Estimate > 0.3 || d.Value.Estimate < 0.7 || d.Change.Low < 0.5 || d.Change.High > 0.7 {
		t.Errorf("%+v", d)
	}
	for _, m := range design.Metrics() {
		if d := find(t, ds, "concurrency 10", m); d.Effect != EffectInconclusive || d.Settings != nil {
			t.Errorf("%s of cells that are alike: %+v", m, d)
		}
	}
	back, err := Compare(after, before)
	if d := find(t, back, "concurrency 5", design.Success); err != nil || d.Effect != EffectWorse || d.Change.High > 0 {
		t.Errorf("the other way: %+v, %v", d, err)
	}
}

func TestCompareWithoutEvidence(t *testing.T) {
	few, many := addAll(madeUp(cell("rounds", "3")), 0, 0), addAll(madeUp(cell("rounds", "3")), 0, 40, 41, 42, 41, 40)
	ds, err := Compare(few, many)
	if err != nil {
		t.Fatal(err)
	}
	if d := find(t, ds, "rounds 3", design.Success); d.Effect != EffectInconclusive || !strings.Contains(d.Reason, "one trial") {
		t.Errorf("%+v", d)
	}
	if slices.ContainsFunc(ds, func(d Difference) bool { return d.Metric == design.P99 }) {
		t.Error("a latency is compared with none")
	}
	same := madeUp(cell("rounds", "3"))
	add(same, 0, 40, 50, 30*ms)
	add(same, 0, 41, 50, 30*ms)
	ds, _ = Compare(same, many)
	if d := find(t, ds, "rounds 3", design.P99); d.Effect != EffectInconclusive || !strings.HasPrefix(d.Reason, "all trials are equal") {
		t.Errorf("latencies that are all equal: %v %q", d.Effect, d.Reason)
	}
	clear := addAll(madeUp(cell("rounds", "3")), 0, 10, 11, 12, 11, 10)
	clear.Trials[0].Late = 25
	if ds, _ = Compare(clear, many); find(t, ds, "rounds 3", design.Success).Effect != EffectInconclusive {
		t.Error("a late load is believed")
	}
}

func TestCompareMatchesCells(t *testing.T) {
	one, other := addAll(madeUp(cell("rounds", "3")), 0, 10, 12), addAll(madeUp(cell("rounds", "5")), 0, 10, 12)
	if ds, err := Compare(one, other); err != nil || len(ds) == 0 {
		t.Errorf("one cell each, of different titles: %d differences, %v", len(ds), err)
	}
	two := madeUp(cell("pause", "1s"), cell("pause", "2s"))
	if _, err := Compare(one, two); err == nil || !strings.Contains(err.Error(), `has "rounds 3"`) ||
		!strings.Contains(err.Error(), `has "pause 1s", "pause 2s"`) {
		t.Errorf("error %v", err)
	}
}

// Cells of one run are compared with those of the first row or, without rows, with those at the
// first level of the factor that has the fewest levels.
func TestContrasts(t *testing.T) {
	rows := madeUp(
		withRow("original", cell("concurrency", "5")), withRow("original", cell("concurrency", "10")),
		withRow("waiting", cell("concurrency", "5")), withRow("waiting", cell("concurrency", "10")),
	)
	levels := madeUp(
		cell("p_crash", "0", "restart_delay", "none"), cell("p_crash", "0", "restart_delay", "1s"),
		cell("p_crash", "0.1", "restart_delay", "none"), cell("p_crash", "0.1", "restart_delay", "1s"),
		cell("p_crash", "0.2", "restart_delay", "none"), cell("p_crash", "0.2", "restart_delay", "1s"),
	)
	one := madeUp(cell("timeout", "1s"), cell("timeout", "2s"), cell("timeout", "3s"))
	for _, tc := range []struct {
		name string
		run  *record.Run
		want []string
	}{
		{"rows", rows, []string{
			"original, concurrency 5 < waiting, concurrency 5", "original, concurrency 10 < waiting, concurrency 10"}},
		{"two factors", levels, []string{
			"p_crash 0, restart_delay none < p_crash 0, restart_delay 1s", "p_crash 0.1, restart_delay none < p_crash 0.1, restart_delay 1s",
			"p_crash 0.2, restart_delay none < p_crash 0.2, restart_delay 1s"}},
		{"one factor", one, []string{"timeout 1s < timeout 2s", "timeout 1s < timeout 3s"}},
		{"one cell", madeUp(cell("timeout", "1s")), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.run.Manifest.Design.Cells {
				addAll(tc.run, i, 10+i, 12+i, 11+i)
			}
			var got []string
			for _, d := range summarize(tc.run, unchecked).Differences {
				if d.Metric == design.Success {
					got = append(got, d.Baseline+" < "+d.Cell)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func withRow(name string, c design.Cell) design.Cell {
	c.Row = name
	return c
}

// The error about runs without common cells does not list hundreds of them.
func TestCompareNamesFewCells(t *testing.T) {
	many := madeUp()
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		many.Manifest.Design.Cells = append(many.Manifest.Design.Cells, cell("concurrency", n))
	}
	_, err := Compare(many, madeUp(cell("rounds", "1"), cell("rounds", "2")))
	if want := `"concurrency 4" and 2 more; `; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
