package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// dataName returns the name of a metric in data: with its unit if it has one.
func dataName(m design.Metric) string {
	switch m {
	case design.P50, design.P90, design.P99, design.Makespan:
		return string(m) + "_s"
	case design.Attempts:
		return "attempts_sent_per_call"
	case design.Tries:
		return "attempts_per_call"
	case design.Throughput:
		return "throughput_per_s"
	}
	return string(m)
}

// dataLevel returns a duration as a number of seconds and any other level unchanged.
func (f factor) dataLevel(level string) string {
	if v, seconds, ok := quantity(level); ok && seconds && f.seconds {
		return plain(v)
	}
	return level
}

func (f factor) dataName() string {
	if f.seconds {
		return f.name + "_s"
	}
	return f.name
}

// plain prints a number in full; nothing if it is not finite.
func plain(v float64) string {
	if notFinite(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// writeCSV writes a header and a line for each cell. Unknown values are empty.
func writeCSV(w io.Writer, s experiment.Summary) error {
	varied := withRowFactors(factorsOf(s.Cells), rowFactors(s.Cells))
	var head []string
	for _, f := range varied {
		head = append(head, f.dataName())
	}
	head = append(head, "trials", "calls", "successes_total", "failures_total", "failures_per_trial")
	for _, m := range design.Metrics() {
		head = append(head, dataName(m), dataName(m)+"_low", dataName(m)+"_high")
	}
	if s.Prediction != nil {
		for _, m := range design.Metrics() {
			head = append(head, dataName(m)+"_predicted", dataName(m)+"_predicted_low", dataName(m)+"_predicted_high")
		}
	}
	out := csv.NewWriter(w)
	out.Write(append(head, "design_effect", "trials_needed", "late_trials", "interrupted_trials", "violations", "verdict"))
	for i, c := range s.Cells {
		out.Write(csvLine(s, i, c, varied))
	}
	out.Flush()
	return out.Error()
}

func csvLine(s experiment.Summary, cell int, c experiment.CellSummary, varied []factor) []string {
	var line []string
	for _, f := range varied {
		line = append(line, f.dataLevel(levelOf(c.Cell, f.name)))
	}
	n := countsOf(c)
	for _, count := range []int{n.trials, n.succeeded + n.failed, n.succeeded, n.failed} {
		line = append(line, strconv.Itoa(count))
	}
	line = append(line, plain(float64(n.failed)/float64(n.trials)))
	line = append(line, csvMetrics(c)...)
	if s.Prediction != nil {
		line = append(line, csvMetrics(asPredicted(c))...)
	}
	effect, needed := "", ""
	if c.DesignEffect != 0 {
		effect = plain(c.DesignEffect)
	}
	if c.TrialsNeeded != 0 {
		needed = strconv.Itoa(c.TrialsNeeded)
	}
	verdict := ""
	if worst, claimed := cellVerdict(s, cell); claimed {
		verdict = worst.String()
	}
	return append(line, effect, needed, strconv.Itoa(c.Late), strconv.Itoa(n.interrupted), strconv.Itoa(n.violations), verdict)
}

func csvMetrics(c experiment.CellSummary) []string {
	var fields []string
	for _, m := range design.Metrics() {
		if i, ok := metricOf(c, m); ok {
			fields = append(fields, plain(i.Estimate), plain(i.Low), plain(i.High))
		} else {
			fields = append(fields, "", "", "")
		}
	}
	return fields
}

// The JSON output. Unknown values are left out.

type runJSON struct {
	Name       string             `json:"name"`
	Engine     string             `json:"engine,omitempty"` // see record.Manifest
	Seed       uint64             `json:"seed"`
	Command    []string           `json:"command"`
	Answer     experiment.Answer  `json:"answer,omitzero"` // to the design's question
	Verdict    experiment.Verdict `json:"verdict"`
	Cells      []cellJSON         `json:"cells"`
	Claims     []claimJSON        `json:"claims"`
	Violations []violationJSON    `json:"violations"`

	Differences []experiment.Difference `json:"differences"`
	Agreements  []agreementJSON         `json:"agreements,omitempty"`
}

type agreementJSON struct {
	experiment.Agreement
	Agrees bool `json:"agrees"`
}

type cellJSON struct {
	Name              string                    `json:"name"`
	Row               string                    `json:"row,omitempty"`
	Levels            map[string]any            `json:"levels"`
	Trials            int                       `json:"trials"`
	Calls             int                       `json:"calls"`
	Successes         int                       `json:"successes_total"`
	Failures          int                       `json:"failures_total"`
	FailuresPerTrial  *float64                  `json:"failures_per_trial,omitempty"`
	Metrics           map[string]stats.Interval `json:"metrics"`
	Predicted         map[string]stats.Interval `json:"predicted,omitempty"`
	DesignEffect      float64                   `json:"design_effect,omitempty"`
	TrialsNeeded      int                       `json:"trials_needed,omitempty"` // to know success to ±0.01
	LateTrials        int                       `json:"late_trials"`
	InterruptedTrials int                       `json:"interrupted_trials"`
	Verdict           *experiment.Verdict       `json:"verdict,omitempty"`
}

type claimJSON struct {
	Claim    string             `json:"claim"`
	Cell     int                `json:"cell"` // index into cells
	Interval *stats.Interval    `json:"interval,omitempty"`
	Verdict  experiment.Verdict `json:"verdict"`
	Reason   string             `json:"reason,omitempty"` // why it is inconclusive
}

type violationJSON struct {
	Trial  int    `json:"trial"`
	Check  string `json:"check"`
	Detail string `json:"detail"`
}

func writeJSON(w io.Writer, run *record.Run, s experiment.Summary) error {
	m := run.Manifest
	out := runJSON{
		Name: m.Name, Engine: m.Engine, Seed: m.Seed, Command: m.Command, Answer: s.Answer, Verdict: s.Verdict,
		Cells: []cellJSON{}, Claims: []claimJSON{}, Violations: []violationJSON{},
		Differences: differencesData(s.Differences),
	}
	varied := withRowFactors(factorsOf(s.Cells), rowFactors(s.Cells))
	for i, c := range s.Cells {
		out.Cells = append(out.Cells, newCellJSON(s, i, c, varied))
		for _, t := range c.Trials {
			for _, v := range t.Violations {
				out.Violations = append(out.Violations, violationJSON{t.Trial.Number, v.Check, v.Detail})
			}
		}
	}
	for _, c := range s.Claims {
		claim := claimJSON{Claim: c.Claim.Text, Cell: c.Cell, Verdict: c.Verdict, Reason: c.Reason}
		if isMeasured(c.Interval) {
			claim.Interval = &c.Interval
		}
		out.Claims = append(out.Claims, claim)
	}
	for _, a := range s.Agreements() {
		agrees := a.Agrees()
		a.Metric = design.Metric(dataName(a.Metric))
		out.Agreements = append(out.Agreements, agreementJSON{a, agrees})
	}
	return writeIndented(w, out)
}

func writeIndented(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func newCellJSON(s experiment.Summary, cell int, c experiment.CellSummary, varied []factor) cellJSON {
	n := countsOf(c)
	j := cellJSON{
		Name: c.Cell.Title(), Row: c.Cell.Row, Levels: map[string]any{}, Trials: n.trials, Calls: n.succeeded + n.failed,
		Successes: n.succeeded, Failures: n.failed, FailuresPerTrial: finite(float64(n.failed) / float64(n.trials)),
		Metrics: jsonMetrics(c), Predicted: jsonMetrics(asPredicted(c)), TrialsNeeded: c.TrialsNeeded, LateTrials: c.Late, InterruptedTrials: n.interrupted,
	}
	if effect := finite(c.DesignEffect); effect != nil {
		j.DesignEffect = *effect
	}
	for _, f := range varied {
		if level := levelOf(c.Cell, f.name); f.name != rowFactor {
			j.Levels[f.dataName()] = f.jsonLevel(level)
		}
	}
	if worst, claimed := cellVerdict(s, cell); claimed {
		j.Verdict = &worst
	}
	return j
}

func jsonMetrics(c experiment.CellSummary) map[string]stats.Interval {
	metrics := map[string]stats.Interval{}
	for m := range c.Metrics {
		if i, ok := metricOf(c, m); ok {
			metrics[dataName(m)] = i
		}
	}
	return metrics
}

// jsonLevel returns a level as a number if it is one, durations in seconds.
func (f factor) jsonLevel(level string) any {
	if v, seconds, ok := quantity(level); ok && seconds == f.seconds {
		return v
	}
	return level
}

// finite returns nil for a number that JSON cannot express.
func finite(v float64) *float64 {
	if notFinite(v) {
		return nil
	}
	return &v
}
