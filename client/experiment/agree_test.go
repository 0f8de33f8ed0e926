package experiment

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
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

// A summary has predictions beside measured values.
func TestAddPrediction(t *testing.T) {
	cells := []design.Cell{cell("concurrency", "5"), cell("concurrency", "10")}
	measured, predicted := madeUp(cells...), madeUp(cells...)
	addAll(measured, 0, 40, 40, 40)
	addAll(predicted, 0, 20, 20, 20)
	s := summarize(measured, unchecked)
	if s.Prediction != nil || len(s.Agreements()) != 0 {
		t.Errorf("without a prediction: %+v, %+v", s.Prediction, s.Agreements())
	}
	if err := s.AddPrediction(predicted); err != nil {
		t.Fatal(err)
	}
	if s.Prediction != &predicted.Manifest || s.Cells[0].Predicted[design.Success].Estimate != 0.4 || s.Cells[0].Metrics[design.Success].Estimate != 0.8 {
		t.Errorf("prediction %p, predicted %+v", s.Prediction, s.Cells[0].Predicted)
	}
	if n := len(s.Cells[1].Agreements); n != 0 || len(s.Agreements()) != 4 {
		t.Errorf("%d agreements of the cell without a trial, %d in all; want 0 and 4", n, len(s.Agreements()))
	}
	other := cell("concurrency", "5")
	other.Settings.Rounds = 7
	before := s.Prediction
	if err := s.AddPrediction(madeUp(cells[0], other)); err == nil || s.Prediction != before || len(s.Agreements()) != 4 {
		t.Errorf("a prediction of another design: %v, and it is in the summary", err)
	}
}

func TestPredictedSummary(t *testing.T) {
	run := madeUp(cell())
	if Summarize(run).Predicted {
		t.Error("a run on processes is predicted")
	}
	if run.Manifest.Engine = record.EngineSimulation; !Summarize(run).Predicted {
		t.Error("a run in virtual time is not predicted")
	}
}

func TestReliable(t *testing.T) {
	for _, tt := range []struct {
		agreeing, cells int
		want            bool
	}{{0, 0, false}, {1, 1, true}, {0, 1, false}, {19, 20, true}, {18, 20, false}, {94, 100, false}} {
		var all []Agreement
		for i := range tt.cells {
			a := Agreement{Cell: fmt.Sprint(i), Allowed: 1}
			if i >= tt.agreeing {
				a.Predicted.Estimate = 2
			}
			all = append(all, a)
		}
		if got := Reliable(all); got != tt.want {
			t.Errorf("%d of %d cells agree: reliable is %v", tt.agreeing, tt.cells, got)
		}
	}
}

// If trials vary widely, success may differ by three standard errors.
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

// A metric that has no value in one of the runs is not compared.
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
