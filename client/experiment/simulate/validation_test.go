package simulate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover/virtual"
	"example.com/crashlab/services/fault"
)

// variant is a simulation that is wrong on purpose. Its fields may be nil.
type variant struct {
	model    *Model
	settings func(*design.Settings)
	policy   func(*virtual.Policy)
	records  func(*record.TrialRecords)
}

// play runs all trials of a design in the variant.
func (v variant) play(t *testing.T, d *design.Design) *record.Run {
	t.Helper()
	run := &record.Run{Manifest: record.Manifest{Design: d}}
	for _, trial := range d.Trials() {
		s := d.Cells[trial.Cell].Settings
		if v.settings != nil {
			v.settings(&s)
		}
		p, err := s.Policy().Virtual(methodName)
		if err != nil {
			t.Fatal(err)
		}
		if v.policy != nil {
			v.policy(&p)
		}
		model := DefaultModel()
		if v.model != nil {
			model = *v.model
		}
		w := newWorld(model, s, trial, p)
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen := record.TrialRecords{Trial: record.Trial{Trial: trial}, Calls: w.calls}
		if v.records != nil {
			v.records(&seen)
		}
		run.Trials = append(run.Trials, seen)
	}
	return run
}

// shuffleQueue changes a trial as if a free place at a replica went to a random waiting call, not
// to the oldest. It exchanges only the start times of calls, because waiting calls differ in their
// age alone.
func shuffleQueue(t *record.TrialRecords) {
	random := rand.New(rand.NewPCG(t.Seed, 1))
	var served []record.Call
	for _, c := range t.Calls {
		if len(c.Attempts) > 0 {
			served = append(served, c)
		}
	}
	byAge, byPlace := slices.Clone(served), slices.Clone(served)
	slices.SortStableFunc(byAge, func(a, b record.Call) int { return int(a.Start - b.Start) })
	slices.SortStableFunc(byPlace, func(a, b record.Call) int { return int(a.Attempts[0].Start - b.Attempts[0].Start) })
	var waiting []record.Call
	t.Calls = slices.DeleteFunc(t.Calls, func(c record.Call) bool { return len(c.Attempts) > 0 })
	for _, place := range byPlace {
		for len(byAge) > 0 && byAge[0].Start <= place.Attempts[0].Start {
			waiting, byAge = append(waiting, byAge[0]), byAge[1:]
		}
		i := random.IntN(len(waiting))
		end := place.End()
		place.Intended, place.Start, place.Duration = waiting[i].Intended, waiting[i].Start, end-waiting[i].Start
		waiting = slices.Delete(waiting, i, i+1)
		t.Calls = append(t.Calls, place)
	}
}

// A model that is wrong in one respect fails the validation; the model of a slower machine passes.
func TestValidationFindsWrongModels(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 3,600 simulated trials")
	}
	d, err := design.Load("../../../deploy/experiments/validation.yaml", design.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	right := variant{}.play(t, d)
	slower := DefaultModel()
	slower.RoundTrip.Median *= 2
	slower.Notice.Median *= 2
	slower.Boot.Median *= 2
	for _, tt := range []struct {
		name  string
		wrong variant
		found bool
	}{
		{"a machine half as fast", variant{model: &slower}, false},
		{"crash point swapped", variant{settings: func(s *design.Settings) {
			s.CrashPoint = map[fault.CrashPoint]fault.CrashPoint{fault.CrashPointArrival: fault.CrashPointReply, fault.CrashPointReply: fault.CrashPointArrival}[s.CrashPoint]
		}}, true},
		{"backoff added to redial", variant{policy: func(p *virtual.Policy) { p.Redial.Every = time.Second }}, true},
		{"queue in random order", variant{records: shuffleQueue}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := experiment.Agree(right, tt.wrong.play(t, d))
			if err != nil {
				t.Fatal(err)
			}
			agreeing, cells := experiment.AgreeingCells(all)
			if found := float64(agreeing) < experiment.RequiredAgreement*float64(cells); found == tt.found {
				return
			}
			t.Errorf("%d of %d cells agree", agreeing, cells)
			for _, a := range all {
				if !a.Agrees() {
					t.Logf("%s: %s %.3f, predicted %.3f", a.Cell, a.Metric, a.Measured.Estimate, a.Predicted.Estimate)
				}
			}
		})
	}
}
