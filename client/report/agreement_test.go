package report

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// agreed compares a metric of a cell with its prediction.
func agreed(cell string, m design.Metric, measured, predicted, allowed float64) experiment.Agreement {
	return experiment.Agreement{Cell: cell, Metric: m, Measured: about(measured, measured/10), Predicted: about(predicted, predicted/10), Allowed: allowed}
}

func twoAgreements() []experiment.Agreement {
	return []experiment.Agreement{
		agreed("one", design.Success, 0.5, 0.52, 0.03), agreed("one", design.P99, 2, 2.3, 0.4),
		agreed("other", design.Success, 0.5, 0.58, 0.05), agreed("other", design.Attempts, 2, 1.8, 0.1),
	}
}

func TestAgreements(t *testing.T) {
	var b strings.Builder
	if err := Agreements(&b, "table", twoAgreements()); err != nil {
		t.Fatal(err)
	}
	want := `
              success,
cell   agree  predicted
one      yes  50.0% [45.0, 55.0] ≈ 52.0% [46.8, 57.2]
other     no  50.0% [45.0, 55.0] ≠ 58.0% [52.2, 63.8]¹

       sent per call,                               p50,
cell   predicted                               predicted
one                    –                               –
other  2.00 [1.80, 2.20] ≠ 1.80 [1.62, 1.98]²          –

       p99,
cell   predicted
one    2.00 s [1.80, 2.20] ≈ 2.30 s [2.07, 2.53]
other                    –

¹ success +8.0 points, allowed ±5.0
² attempts -10.0%, allowed ±5.0

Measured ≈ predicted, or ≠ if they are further apart than allowed.

1 of 2 cells agree, of 20 trials
`
	if got := b.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := Agreements(&b, "md", twoAgreements()); err != nil || strings.Count(b.String(), "\n|") < 3 || !strings.HasSuffix(b.String(), "1 of 2 cells agree, of 20 trials\n") {
		t.Errorf("%v\n%s", err, b.String())
	}
	if err := Agreements(&b, "yaml", twoAgreements()); err == nil || err.Error() != `format "yaml": want table or md` {
		t.Errorf("got %v", err)
	}
}

func TestDisagreementWithNothing(t *testing.T) {
	if got, want := disagreement(agreed("", design.Attempts, 0, 1.5, 0)), "attempts 1.50, measured 0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// withPrediction adds a prediction to a summary that agrees in two of three cells.
func withPrediction(s experiment.Summary) experiment.Summary {
	s.Cells = slices.Clone(s.Cells)
	s.Prediction = &madeRun(everyday).Manifest
	for i := range s.Cells {
		c := &s.Cells[i]
		factor := []float64{1, 1.01, 1.3}[i%3]
		c.Predicted = map[design.Metric]stats.Interval{}
		for m, was := range c.Metrics {
			p := was
			p.Estimate, p.Low, p.High = factor*was.Estimate, factor*was.Low, factor*was.High
			if m == design.Success {
				p.Estimate, p.Low, p.High = min(1, p.Estimate), min(1, p.Low), min(1, p.High)
			}
			c.Predicted[m] = p
		}
		for _, m := range []design.Metric{design.Success, design.Attempts, design.P50, design.P99} {
			if was, ok := c.Metrics[m]; ok {
				a := experiment.Agreement{Cell: c.Cell.Title(), Metric: m, Measured: was, Predicted: c.Predicted[m], Allowed: experiment.Tolerance(m, was.Estimate)}
				c.Agreements = append(c.Agreements, a)
			}
		}
	}
	return s
}

// Every metric of every cell is in the picture, and cells that do not agree are named.
func TestAgreementChart(t *testing.T) {
	s := withPrediction(madePolicies())
	c := agreementChart(s.Agreements())
	if len(c.Panels) != 4 {
		t.Fatalf("%d panels, want one for each metric", len(c.Panels))
	}
	for _, p := range c.Panels {
		agree, not := p.Series[agreeingSeries].Points, p.Series[otherSeries].Points
		if p.Title == metricName(design.P99) {
			if len(agree) != 8 || len(not) != 3 {
				t.Errorf("%s: %d points that agree and %d others, want 8 and 3 of 11 cells that have a latency", p.Title, len(agree), len(not))
			}
			if title := not[0].Title; !strings.Contains(title, "measured 5.20 s [4.33, 6.07], predicted 6.76 s [5.63, 7.89]") || !strings.HasSuffix(title, "; does not agree: p99 +30.0%, allowed ±20.0") {
				t.Errorf("a point says %q", title)
			}
		}
		for _, q := range agree {
			if strings.Contains(q.Title, "does not agree") {
				t.Errorf("%s: among those that agree is %q", p.Title, q.Title)
			}
		}
		for _, l := range p.Labels {
			if !slices.ContainsFunc(not, func(q point) bool { return strings.HasPrefix(q.Title, strings.TrimSuffix(l.Text, "…")) }) {
				t.Errorf("%s: the label %q is not of a cell that does not agree", p.Title, l.Text)
			}
		}
		if len(p.Labels) < len(not)-1 {
			t.Errorf("%s: %d labels of %d points that do not agree", p.Title, len(p.Labels), len(not))
		}
	}
	if len(c.Details) == 0 || len(c.Details) > 9 {
		t.Errorf("details %q", c.Details)
	}
}

// A point is on the band, or a strip of it, if and only if it agrees.
func TestBandIsWhatIsAllowed(t *testing.T) {
	for _, m := range []design.Metric{design.Success, design.P99} {
		all := []experiment.Agreement{agreed("low", m, 0.4, 0.4, 0), agreed("high", m, 0.9, 0.9, 0)}
		s := newScatter(m, all)
		for _, v := range []float64{0.3, 0.5, 0.8} {
			if got := s.x.value(s.x.at(v)); got < v-1e-9 || got > v+1e-9 {
				t.Errorf("%s: %v is at %v, where %v is", m, v, s.x.at(v), got)
			}
		}
		if n := len(s.bands()); n != 1 {
			t.Errorf("%s: %d bands, want no strip where no more than the tolerance is allowed", m, n)
		}
		s.agreements[0].Allowed = 0.1
		if bands := s.bands(); len(bands) != 2 || !strings.Contains(bands[1], px(s.y.at(0.3)).String()) || !strings.Contains(bands[1], px(s.y.at(0.5)).String()) {
			t.Errorf("%s: bands %q, want a strip from 0.3 to 0.5", m, bands[1:])
		}
	}
}

// Predictions are beside the measured values: hollow, and with a ring if they do not agree.
func TestSweepWithPrediction(t *testing.T) {
	s := withPrediction(madePolicies())
	c := sweepChart(s)
	p := c.Panels[0]
	if len(p.Series) != 8 {
		t.Fatalf("%d series, want each of four as measured and as predicted", len(p.Series))
	}
	places := map[px]bool{}
	for _, series := range p.Series {
		places[series.Points[0].X] = true
	}
	if len(places) != len(p.Series) {
		t.Errorf("the %d marks at the first level have %d places", len(p.Series), len(places))
	}
	rings := 0
	for i := 0; i < len(p.Series); i += 2 {
		measured, predicted := p.Series[i], p.Series[i+1]
		if predicted.Class != measured.Class+" predicted" || predicted.Shape != measured.Shape || len(predicted.Points) != len(measured.Points) {
			t.Errorf("%+v\nis beside\n%+v", predicted, measured)
		}
		for k, q := range predicted.Points {
			if q.X <= measured.Points[k].X || !strings.HasPrefix(q.Title, "predicted: ") {
				t.Errorf("%q at %v is not right of what was measured, at %v", q.Title, q.X, measured.Points[k].X)
			}
			if q.Ring > 0 {
				rings++
			}
			if (q.Ring > 0) != strings.HasSuffix(q.Title, "; does not agree") {
				t.Errorf("ring %v: %q", q.Ring, q.Title)
			}
		}
	}
	var not int
	for _, a := range s.Agreements() {
		if a.Metric == design.Success && !a.Agrees() {
			not++
		}
	}
	if rings != not || not == 0 {
		t.Errorf("%d rings, want %d", rings, not)
	}
	if !strings.Contains(p.Desc, "The prediction agrees in ") {
		t.Errorf("the description does not say what agrees: %s", p.Desc)
	}
	if names := keyNames(c); !slices.Equal(names[4:], []string{"measured", "predicted", "predicted, does not agree"}) {
		t.Errorf("key %q", names)
	}
}

func keyNames(c chart) []string {
	var names []string
	for _, item := range c.keyItems() {
		names = append(names, item.Name)
	}
	return names
}

func TestPoliciesWithPrediction(t *testing.T) {
	p := policiesChart(withPrediction(madePolicies())).Panels[0]
	predicted, rings := 0, 0
	for _, b := range p.Bubbles {
		if strings.HasSuffix(b.Class, " predicted") {
			predicted++
			if b.Label.Text != "" || b.Label.Leader == nil {
				t.Errorf("%q has the label %+v, want a line to what was measured", b.Title, b.Label)
			}
			if b.Ring > 0 {
				rings++
			}
		}
	}
	if len(p.Bubbles) != 22 || predicted != 11 || rings != 3 {
		t.Errorf("%d bubbles, %d predicted, %d with a ring; want 22, 11, 3", len(p.Bubbles), predicted, rings)
	}
}

func TestHeatmapWithPrediction(t *testing.T) {
	s := withPrediction(madeSummaries()["heatmap"])
	disagreeing := map[bool]int{}
	for _, b := range sweepChart(s).Panels[0].Boxes {
		not := strings.HasPrefix(b.Predicted, "≠ (")
		disagreeing[not]++
		if !not && !strings.HasPrefix(b.Predicted, "(") || not != strings.HasSuffix(b.Title, "; does not agree") {
			t.Errorf("a box says %q and %q", b.Predicted, b.Title)
		}
		if b.PredictedY <= b.BoundsY || b.BoundsY <= b.NumberY || b.PredictedY > b.Y+b.Height {
			t.Errorf("a box from %v to %v has lines at %v, %v, %v", b.Y, b.Y+b.Height, b.NumberY, b.BoundsY, b.PredictedY)
		}
	}
	want := map[bool]int{}
	for _, c := range s.Cells {
		want[disagrees(c, design.Success)]++
	}
	if !maps.Equal(disagreeing, want) || want[true] == 0 {
		t.Errorf("boxes that do not agree: %v, want %v", disagreeing, want)
	}
}

// A chart of a run that was only predicted says so in each panel and draws everything as predicted.
func TestPredictedCharts(t *testing.T) {
	for _, s := range []experiment.Summary{madePolicies(), madeSummaries()["heatmap"]} {
		s.Predicted = true
		for _, c := range []chart{sweepChart(s), policiesChart(s)} {
			if c.empty() {
				continue
			}
			var b bytes.Buffer
			if err := templates.ExecuteTemplate(&b, "file", newFile(c)); err != nil {
				t.Fatal(err)
			}
			checkPictures(t, b.String())
			if got := strings.Count(b.String(), ", predicted</text>"); got != len(c.Panels) {
				t.Errorf("%s: %d of %d panels are called predicted", c.Title, got, len(c.Panels))
			}
			if !strings.Contains(b.String(), ", predicted</title>\n<desc>") || !strings.Contains(b.String(), `class="chart predicted"`) {
				t.Errorf("%s: the picture is not marked as predicted", c.Title)
			}
		}
	}
}
