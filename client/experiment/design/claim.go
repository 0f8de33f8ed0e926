package design

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Claim is a bound that a metric is expected to keep in some cells.
type Claim struct {
	Metric Metric
	// AtLeast is true for >=, false for <=.
	AtLeast bool
	// Threshold is in the metric's unit: a share, seconds, or a number.
	Threshold float64
	// Where selects cells by row (the key "row") and by factors, spelled as Settings.Value spells
	// them; empty means all cells.
	Where map[string]string
	// Text is the claim as the file spells it, without Where, such as "p99 <= 2s".
	Text string
}

// Metric is a figure that is computed for each trial.
type Metric string

const (
	Success    Metric = "success"    // share of the calls that succeeded, 0 to 1
	Successes  Metric = "successes"  // how many calls succeeded
	P50        Metric = "p50"        // quantiles of the latency of the calls that succeeded, in seconds
	P90        Metric = "p90"        //
	P99        Metric = "p99"        //
	Attempts   Metric = "attempts"   // attempts per call that were sent
	Tries      Metric = "tries"      // attempts per call, sent or not
	Throughput Metric = "throughput" // calls that succeeded, per second
	Makespan   Metric = "makespan"   // from the first call's start to the last one's end, in seconds
)

// Metrics returns all metrics, in the order of tables.
func Metrics() []Metric {
	return []Metric{Success, Successes, P50, P90, P99, Attempts, Tries, Throughput, Makespan}
}

// thresholds parses the threshold of each metric.
var thresholds = map[Metric]func(string) (float64, error){
	Success: share, Successes: amount,
	P50: seconds, P90: seconds, P99: seconds,
	Attempts: amount, Tries: amount, Throughput: amount, Makespan: seconds,
}

// share parses 0.999 or 99.9%.
func share(text string) (float64, error) {
	number := text
	if digits, ok := strings.CutSuffix(text, "%"); ok {
		number = digits + "e-2" // a division would round: 99.9% is 0.999
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q: want a share from 0 to 1, such as 0.999 or 99.9%%", text)
	}
	return v, nil
}

func amount(text string) (float64, error) { return number(1e9).parse(text) }

func seconds(text string) (float64, error) {
	d, err := duration.parse(text)
	return d.Seconds(), err
}

var claimForm = regexp.MustCompile(`^\s*(\w+)\s*(>=|<=)\s*(\S+)\s*$`)

// parseClaim reads METRIC >= THRESHOLD or METRIC <= THRESHOLD.
func parseClaim(text string) (Claim, error) {
	parts := claimForm.FindStringSubmatch(text)
	if parts == nil {
		return Claim{}, fmt.Errorf("%q: want METRIC >= THRESHOLD or METRIC <= THRESHOLD, such as p99 <= 2s", text)
	}
	c := Claim{Metric: Metric(parts[1]), AtLeast: parts[2] == ">=", Text: strings.Join(parts[1:], " ")}
	parse, ok := thresholds[c.Metric]
	if !ok {
		return Claim{}, fmt.Errorf("%q: unknown metric %q: want one of %s", text, parts[1], metricNames())
	}
	var err error
	if c.Threshold, err = parse(parts[3]); err != nil {
		return Claim{}, fmt.Errorf("%q: threshold %w", text, err)
	}
	return c, nil
}

func metricNames() string {
	var names []string
	for _, m := range Metrics() {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// Matches reports whether the claim applies to the cell.
func (c Claim) Matches(cell Cell) bool {
	for name, want := range c.Where {
		value, _ := cell.Settings.Value(name)
		if name == rowKey {
			value = cell.Row
		}
		if value != want {
			return false
		}
	}
	return true
}

// rowKey is the key in Claim.Where that selects by row.
const rowKey = "row"

type claimJSON struct {
	Claim string            `json:"claim"`
	Where map[string]string `json:"where,omitempty"`
}

// MarshalJSON returns the claim as a design file spells it.
func (c Claim) MarshalJSON() ([]byte, error) { return json.Marshal(claimJSON{c.Text, c.Where}) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Claim) UnmarshalJSON(data []byte) error {
	var j claimJSON
	err := json.Unmarshal(data, &j)
	if err != nil {
		return err
	}
	*c, err = parseClaim(j.Claim)
	c.Where = j.Where
	return err
}
