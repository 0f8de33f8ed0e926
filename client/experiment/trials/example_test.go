package trials_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
)

// Run a design, here in virtual time, and read what it has shown. For real processes, the engine is
// &lab.Lab{Counterd: "bin/counterd"}.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "crash.yaml")
	text := `
repeats: 12
factors: {p_crash: 0.3, restart_delay: 500ms, service_time: 50ms}
rows:
  - {name: original}
  - {name: one in flight, when_down: wait, timeout: 0s, deadline: 30s, max_in_flight: 1}
claims:
  - {claim: success >= 0.98, where: {row: one in flight}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	d, err := design.Load(file, design.Overrides{})
	if err != nil {
		log.Fatal(err)
	}

	r := trials.Run{Engine: &simulate.Engine{Model: simulate.DefaultModel()}, Runs: filepath.Join(dir, "runs")}
	folder, err := r.Do(context.Background(), d)
	if err != nil {
		log.Fatal(err)
	}

	run, err := record.Open(folder)
	if err != nil {
		log.Fatal(err)
	}
	summary := experiment.Summarize(run)
	fmt.Println(len(run.Trials), "trials,", summary.Verdict)
	for _, c := range summary.Cells {
		fmt.Println(c.Cell.Title(), "succeeds for most calls:", c.Metrics[design.Success].Low > 0.5)
	}
	// Output:
	// 24 trials, held
	// original succeeds for most calls: false
	// one in flight succeeds for most calls: true
}
