package report

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
)

var (
	pictures = flag.String("pictures", "", "write pictures of the report to this folder, to be looked at")
	pictured = flag.String("pictured", "", "the folder of a run to make pictures of, in place of made-up ones")
)

// plans describes the runs to take pictures of.
func plans() map[string]plan {
	return map[string]plan{
		"everyday": everyday,
		"many":     fiftyThousand,
		"empty":    {rows: 2, levels: 2},
		"alone":    {rows: 1, levels: 1, repeats: 1, calls: 120, workers: 10},
		"stopped": {rows: 1, levels: 2, repeats: 2, calls: 120, workers: 10, uptime: 2 * time.Second, mutate: func(t *record.TrialRecords) {
			signaled(t, "b", 2300*time.Millisecond, 3*time.Second)
		}},
	}
}

// believed summarizes a run without the violations that come from its being made up.
func believed(run *record.Run) experiment.Summary {
	s := experiment.Summarize(run)
	s.Verdict = experiment.VerdictHeld
	for _, c := range s.Claims {
		s.Verdict = max(s.Verdict, c.Verdict)
	}
	for _, c := range s.Cells {
		for i := range c.Trials {
			c.Trials[i].Violations = nil
		}
	}
	return s
}

// compared adds the prediction of the run, if it has one.
func compared(t *testing.T, run *record.Run, s experiment.Summary) experiment.Summary {
	t.Helper()
	if run.Dir == "" {
		return s // it is made up
	}
	predicted, err := run.Prediction()
	if err == nil && predicted != nil {
		err = s.AddPrediction(predicted)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// picturedRuns returns the runs to take pictures of, by name.
func picturedRuns(t *testing.T) map[string]*record.Run {
	runs := map[string]*record.Run{}
	if *pictured != "" {
		run, err := record.Open(*pictured)
		if err != nil {
			t.Fatal(err)
		}
		runs[run.Manifest.Name] = run
		return runs
	}
	for name, p := range plans() {
		runs[name] = madeRun(p)
	}
	return runs
}

func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("only with -pictures FOLDER, for people to look at")
	}
	b := browsertest.Open(t)
	const choose = `for (const k of [1, 2, 3]) document.querySelector("[data-step=trouble]")?.click(); 1`
	for name, run := range picturedRuns(t) {
		for _, width := range []int64{1280, 390} {
			for _, theme := range []string{"light", "dark"} {
				b.View(width, theme)
				load(b, run, compared(t, run, believed(run)))
				browsertest.Evaluate[any](b, choose)
				browsertest.Evaluate[bool](b, browsertest.Painted)
				png, err := chromedp.Run(b, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(*pictures, fmt.Sprintf("%s-%d-%s.png", name, width, theme))
				if err := os.WriteFile(file, png, 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
