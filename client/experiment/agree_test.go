package experiment

import (
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/design"
)

func TestAgree(t *testing.T) {
	cells := []design.Cell{cell("concurrency", "5"), cell("concurrency", "10"), cell("concurrency", "20")}
	measured, predicted := madeUp(cells...), madeUp(cells...)
	addAll(measured, 0, 40, 40, 40)
	addAll(predicted, 0, 41, 41, 41)
	add(measured, 1, 40, 50, 100*ms)
	add(predicted, 1, 40, 50, 109*ms)
	add(measured, 2, 40, 50, 100*ms)
	add(predicted, 2, 35, 50, 121*ms)
	all, err := Agree(measured, predicted)
	if err != nil {
		t.Fatal(err)
	}
	var disagree []string
	for _, a := range all {
		if !a.Agrees() {
			disagree = append(disagree, a.Cell+" "+string(a.Metric))
		}
	}
	want := []string{"concurrency 20 success", "concurrency 20 p50", "concurrency 20 p99"}
	if agreeing, of := AgreeingCells(all); len(all) != 12 || !slices.Equal(disagree, want) || agreeing != 2 || of != 3 {
		t.Errorf("%d of %d cells agree; of %d metrics disagree %q, want %q", agreeing, of, len(all), disagree, want)
	}
}

// Where trials differ much, success may differ by three standard errors.
func TestAgreeAllowsForLuck(t *testing.T) {
	measured, predicted := madeUp(cell()), madeUp(cell())
	addAll(measured, 0, 50, 50, 0, 0)
	addAll(predicted, 0, 50, 50, 50, 50)
	all, err := Agree(measured, predicted)
	if err != nil {
		t.Fatal(err)
	}
	if a := all[0]; a.Metric != design.Success || a.Allowed < 0.865 || a.Allowed > 0.867 || !a.Agrees() {
		t.Errorf("got %+v, want that 3·sqrt(1/12) is allowed", a)
	}
}

// A metric that one of the two has no value of says nothing.
func TestAgreeWithoutSuccess(t *testing.T) {
	measured, predicted := madeUp(cell()), madeUp(cell())
	add(measured, 0, 0, 50, ms)
	add(predicted, 0, 1, 50, ms)
	all, err := Agree(measured, predicted)
	if err != nil || len(all) != 2 {
		t.Errorf("got %+v, %v, want success and attempts", all, err)
	}
}

func TestAgreeOfOtherDesigns(t *testing.T) {
	more := cell()
	more.Settings.Rounds = 7
	for _, other := range [][]design.Cell{{}, {more}} {
		if _, err := Agree(madeUp(cell()), madeUp(other...)); err == nil || !strings.Contains(err.Error(), "want runs of the same design") {
			t.Errorf("%v: got %v", other, err)
		}
	}
}
