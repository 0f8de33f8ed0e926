package main

import (
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

// TestComparison makes a few calls with each client on real clusters, in each scenario.
func TestComparison(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds the binaries and runs 24 clusters")
	}
	programs, err := buildPrograms(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := comparison{
		programs: programs, clients: compared, trials: 1, calls: 5, callers: 2, rate: 100, parallel: 8, seed: 1,
		onTrial: func(done, all int) { t.Logf("%d of %d", done, all) },
	}
	results, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, r := range results {
		seen[r.client.name]++
		if r.Calls() != c.calls || r.Interrupted > 0 {
			t.Errorf("%s, %s: %d calls, %d of them interrupted, want %d and none", r.client.name, r.scenario.title, r.Calls(), r.Interrupted, c.calls)
		}
		if r.arrived < uint64(r.Succeeded) {
			t.Errorf("%s, %s: %d calls succeeded, and only %d requests arrived", r.client.name, r.scenario.title, r.Succeeded, r.arrived)
		}
		if r.scenario.pCrash == 0 && r.Succeeded == 0 {
			t.Errorf("%s, %s: no call succeeded", r.client.name, r.scenario.title)
		}
	}
	for _, client := range compared {
		if seen[client.name] != len(scenarios) {
			t.Errorf("%s took part in %d trials, want %d", client.name, seen[client.name], len(scenarios))
		}
	}
}

func TestCountsMustHoldWhatWasAnswered(t *testing.T) {
	calls := []workload.Record{
		{Reply: workload.Reply{Replica: "a", Incarnation: 1}},
		{Reply: workload.Reply{Replica: "a", Incarnation: 1}},
		{Err: failover.ErrNoReplicas},
	}
	for _, tc := range []struct {
		name   string
		counts []record.Count
		err    string
	}{
		{"enough", []record.Count{{Replica: "a", Incarnation: 1, Arrived: 3}, {Replica: "b", Incarnation: 1}}, ""},
		{"too few", []record.Count{{Replica: "a", Incarnation: 1, Arrived: 1}}, "replica a, incarnation 1: 1 requests arrived, and 2 were answered"},
		{"another incarnation's", []record.Count{{Replica: "a", Incarnation: 2, Arrived: 3}}, "replica a, incarnation 1, answered 2 requests and reported no counts"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := checkCounts(calls, tc.counts); err != nil {
				got = err.Error()
			}
			if got != tc.err {
				t.Errorf("got %q, want %q", got, tc.err)
			}
		})
	}
}

func TestTablesSayWhatIsBetter(t *testing.T) {
	clients := []client{{name: "first"}, {name: "second"}, {name: "never"}}
	var results []result
	for i := range 6 {
		spread := time.Duration(i) * time.Millisecond
		add := func(c client, succeeded int, p99 time.Duration, arrived int) {
			r := result{trial: trial{client: c, scenario: scenarios[0]}, arrived: uint64(arrived + i)}
			r.Succeeded, r.Failed = succeeded, 100-succeeded
			r.P50, r.P99 = 30*time.Millisecond+spread, p99+spread
			results = append(results, r)
		}
		add(clients[0], 94+i, 900*time.Millisecond, 150)
		add(clients[1], 44+i, 90*time.Millisecond, 250)
		add(clients[2], 0, 0, 0)
	}
	var out strings.Builder
	printTrials(&out, scenarios[0], clients, results)
	for _, want := range []string{
		"| client | success | p50 | p99 | attempts per call |\n| --- | ---: | ---: | ---: | ---: |\n| first | 96.5% [",
		"The difference from first:",
		"| second | -50.0 points [",
		"] worse | +0.0 ms [",
		"] inconclusive | -810 ms [",
		"] **better** | +1.00 [",
		"| never | 0.0% ",
		" | – | – | ",
		"Better than first:\n\n- second in p99, with success 46.5%",
		"- never in attempts per call, with success 0.0%",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-trials 0", "-trials 0: want 1 or more"},
		{"-rate 0", "-rate 0: want 0.001 to 1000000"},
		{"-runs -1", "-runs -1: want 1 or more"},
		{"fast", `argument "fast": want flags only`},
	} {
		if _, err := parseOptions(strings.Fields(tc.args)); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.args, err, tc.want)
		}
	}
}
