package design

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func FuzzRead(f *testing.F) {
	f.Add(example)
	f.Add("factors: {timeout: [1s, 2s]}\nclaims: [{claim: tries >= 1, where: {rounds: 3}}]")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := read("x.yaml", []byte(text), Overrides{Set: []Level{{"rounds", "2"}}})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: more than one line", err)
			}
			return
		}
		encoded, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var got Design
		if err := json.Unmarshal(encoded, &got); err != nil {
			t.Fatal(err)
		}
		if got.Source = d.Source; !reflect.DeepEqual(&got, d) {
			t.Errorf("JSON makes %+v of %+v", got, *d)
		}
		if n := len(d.Trials()); n > MaxTrials || n == 0 {
			t.Errorf("%d trials", n)
		}
	})
}

// A level is either refused in one line that names the factor, or spelled so that it parses as the
// same level.
func FuzzLevel(f *testing.F) {
	for factor, value := range map[string]string{
		"service_time": "uniform:60s:1h", "restart_delay": "none", "max_in_flight": "adaptive", "p_crash": "1e-3",
		"timeout": "90m30s", "order": "round-robin", "only_unsent": "true", "rate": "-0",
	} {
		f.Add(uint8(slices.IndexFunc(factors, func(f Factor) bool { return f.Name == factor })), value)
	}
	f.Fuzz(func(t *testing.T, i uint8, value string) {
		factor := factors[int(i)%len(factors)].Name
		level, err := NewLevel(factor, value)
		if err != nil {
			if !strings.HasPrefix(err.Error(), factor+" ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %q: %q", factor, value, err)
			}
			return
		}
		if again, err := NewLevel(factor, level.Value); err != nil || again != level {
			t.Errorf("%s %q is spelled %q, which is spelled %q, %v", factor, value, level.Value, again.Value, err)
		}
		s := Defaults()
		s.apply(level)
		if got, _ := s.Value(factor); got != level.Value {
			t.Errorf("%s %q is set to %q", factor, level.Value, got)
		}
	})
}

// Designs and replicas parse service times alike.
func FuzzServiceTime(f *testing.F) {
	for _, text := range []string{"0", "0s", "50ms", "uniform:50ms:1.5s", "exp:100ms", "uniform:1h0m0s:90m", "exp:0", "values:0:60s:1h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "file:") {
			return // its errors are those of files
		}
		d, err := distribution.parse(text)
		if err != nil {
			if !strings.Contains(err.Error(), ": want 0, a duration ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		again, err := distribution.parse(d.String())
		if err != nil || again != d {
			t.Errorf("%q is %v, read again %v, %v", text, d, again, err)
		}
		var replica = d
		if err := replica.UnmarshalText([]byte(d.String())); err != nil {
			t.Errorf("%q: a replica refuses %q: %v", text, d, err)
		}
		for _, u := range []float64{0, 0.5, 0.999} {
			if q := d.Quantile(u); q < 0 || q != replica.Quantile(u) {
				t.Errorf("%v: quantile %v is %v here and %v at a replica", d, u, q, replica.Quantile(u))
			}
		}
	})
}

func FuzzClaim(f *testing.F) {
	for _, text := range []string{"success >= 99.9%", "p99<=2s", " tries <= 1e9 ", "p95 <= 2s", "success >= -1%", "attempts >= NaN"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaim(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		if !(c.Threshold >= 0) || !slices.Contains(Metrics(), c.Metric) {
			t.Errorf("%q is %+v", text, c)
		}
		if again, err := parseClaim(c.Text); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q is %+v, read again %+v, %v", text, c, again, err)
		}
	})
}

// stable fails the test unless JSON that was read and written can be read and written again without
// a change.
func stable[T any](t *testing.T, text string) {
	t.Helper()
	var first, second T
	if json.Unmarshal([]byte(text), &first) != nil {
		return
	}
	written, err := json.Marshal(first)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if err := json.Unmarshal(written, &second); err != nil {
		t.Fatalf("%s cannot be read: %v", written, err)
	}
	if again, err := json.Marshal(second); err != nil || !bytes.Equal(again, written) {
		t.Errorf("%s, written again: %s, %v", written, again, err)
	}
}

func FuzzDisturbance(f *testing.F) {
	f.Add(`{"at":"3s","signal":"stop","replicas":["a","c"]}`)
	f.Add(`{"at":"60m","signal":"kill"}`)
	f.Fuzz(func(t *testing.T, text string) { stable[Disturbance](t, text) })
}

func FuzzSettings(f *testing.F) {
	f.Add(`{"p_crash":"0.3","service_time":"exp:1000ms","restart_delay":"none"}`)
	f.Add(`{"max_in_flight":"adaptive","rate":"1e3"}`)
	f.Fuzz(func(t *testing.T, text string) { stable[Settings](t, text) })
}

// Each cell has each repeat once, and equal repeats of all cells share a seed.
func FuzzTrials(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(5))
	f.Add(uint64(1<<53-1), uint8(1), uint8(1))
	f.Add(uint64(7), uint8(0), uint8(9))
	f.Fuzz(func(t *testing.T, seed uint64, cells, repeats uint8) {
		cells, repeats = cells%16, repeats%16
		d := Design{Seed: seed, Repeats: int(repeats), Cells: make([]Cell, cells)}
		times := map[[2]int]int{}
		seeds := map[int]uint64{}
		for i, trial := range d.Trials() {
			times[[2]int{trial.Cell, trial.Repeat}]++
			if i > 0 && seeds[trial.Repeat] != 0 && seeds[trial.Repeat] != trial.Seed || trial.Number != i+1 || trial.Seed == 0 || trial.Seed > maxSeed {
				t.Fatalf("trial %d is %+v", i+1, trial)
			}
			seeds[trial.Repeat] = trial.Seed
		}
		if len(times) != int(cells)*int(repeats) || len(d.Trials()) != len(times) {
			t.Errorf("%d cells, %d repeats: %d trials, %d of them different", cells, repeats, len(d.Trials()), len(times))
		}
	})
}
