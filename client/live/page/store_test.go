package page

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/live"
)

// A state with later differences gives the page's store the same contents as the later state.
func TestStoreFollowsDifferences(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of a browser")
	}
	t.Parallel()
	text, err := os.ReadFile("../testdata/fixture.json")
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		State live.State
		Diffs []live.Diff
	}
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	made.Diffs = append(made.Diffs, forget(made.State, made.Diffs))
	b := browsertest.Open(t)
	b.Do(chromedp.Navigate("about:blank"))
	first, state := spell(made.State), made.State
	for i, d := range made.Diffs {
		state.Apply(d)
		if i%15 != 0 {
			continue
		}
		followed := storeAfter(b, first, spell(made.Diffs[:i+1]))
		if whole := storeAfter(b, spell(state), "[]"); followed != whole {
			t.Fatalf("after %d differences the store has\n%s\nwant\n%s", i+1, followed, whole)
		}
	}
}

// forget returns a difference to follow the others that drops the first items of each list.
func forget(s live.State, diffs []live.Diff) live.Diff {
	for _, d := range diffs {
		s.Apply(d)
	}
	return live.Diff{
		Frame: s.Frame + 1, Now: s.Now + 1000, Attempts: &live.List[live.Attempt]{First: s.Attempts.First + 100},
		Bands: &live.List[live.Band]{First: s.Bands.First + 2}, Crashes: &live.List[live.Crash]{First: s.Crashes.First + 1},
		Marks: &live.List[live.Mark]{First: s.Marks.First + 1}, Points: &live.List[live.Point]{First: s.Points.First + 3},
	}
}

func spell(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot happen: the values are texts and numbers
	}
	return string(text)
}

// storeAfter returns the contents of the page's store after a state and differences, as JSON.
func storeAfter(b *browsertest.Tab, state, diffs string) string {
	return browsertest.Evaluate[string](b, fmt.Sprintf(`(() => {
		"use strict";
		const choose = () => {};
		%s
		takeState(%s);
		for (const diff of %s) takeDiff(diff);
		const { n, ...columns } = scene.traffic.attempts;
		for (const name of ["row", "at"]) delete columns[name]; // these depend on where the store began
		for (const name in columns) columns[name] = Array.from(columns[name].subarray(0, n));
		const { now, replicas, loads, bands, current, crashes, marks } = scene;
		return JSON.stringify({ state, now, replicas, loads, bands, current, crashes, marks, columns });
	})()`, asset("store.js"), state, diffs))
}
