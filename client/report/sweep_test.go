package report

import (
	"reflect"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/design"
)

// Every cell has its points, and the tooltip of each point has its numbers.
func TestSweepShowsEveryCell(t *testing.T) {
	s := madePolicies()
	c := sweepChart(s)
	if got := strings.Join(c.Series, "; "); got != "original; waiting; waiting, one in flight; adaptive" {
		t.Errorf("series %s, want the rows", got)
	}
	if len(c.Panels) != 4 {
		t.Fatalf("%d panels, want one for each of four metrics", len(c.Panels))
	}
	for _, p := range c.Panels {
		points, missing := 0, 0
		for i, s := range p.Series {
			if s.Class != seriesClass(i) || s.Shape != shapeOf(i) {
				t.Errorf("%s: series %d looks like %s, other than in the key", p.Title, i, s.Class)
			}
			for _, q := range s.Points {
				points++
				if q.Missing {
					missing++
				}
			}
		}
		want := 0
		if p.Title == "p99 latency" {
			want = 1 // the cell in which no call succeeded
		}
		if points != len(s.Cells) || missing != want {
			t.Errorf("%s: %d points, %d of them missing; want %d and %d", p.Title, points, missing, len(s.Cells), want)
		}
	}
	if got, want := c.Panels[0].Series[1].Points[1].Title, "waiting, concurrency 5: 72.0% [59.9, 84.1], 10 trials"; got != want {
		t.Errorf("a point says %q, want %q", got, want)
	}
}

// Lines are interrupted at cells without a value, and do not join levels that have no order.
func TestLines(t *testing.T) {
	s := madeSweep("p_crash", "0", "0.1", "0.2", "0.3", "0.6")
	delete(s.Cells[2].Metrics, design.P99)
	path := sweepChart(s).Panels[1].Series[0].Path
	if strings.Count(path, "M") != 2 || strings.Count(path, "L") != 2 {
		t.Errorf("path %q, want two lines of two points", path)
	}
	if path := sweepChart(madeSweep("order", "first", "random")).Panels[0].Series[0].Path; path != "" {
		t.Errorf("path %q through levels that are words, want none", path)
	}
	path = sweepChart(madeSweep("restart_delay", "1s", "2s", "none")).Panels[0].Series[0].Path
	if strings.Count(path, "L") != 2 {
		t.Errorf("path %q through 1s, 2s, none: want a line", path)
	}
}

// An interval that exceeds the plot has no cap at its open end.
func TestWhiskers(t *testing.T) {
	p := sweepChart(madeSummaries()["unsure intervals"]).Panels[1]
	if p.Title != "p99 latency" {
		t.Fatalf("panel %q, want p99 latency", p.Title)
	}
	points := p.Series[0].Points
	if len(points[0].Whiskers) != 0 {
		t.Errorf("an interval without bounds has the whisker %+v", points[0].Whiskers)
	}
	w := points[1].Whiskers[0]
	if !w.OpenLow || !w.OpenHigh || strings.Count(w.Path(), "M") != 1 {
		t.Errorf("an interval from -50 to 52: whisker %+v, path %q; want it open at both ends, without caps", w, w.Path())
	}
}

// The numbers of a heatmap have the same form in every box.
func TestHeatmap(t *testing.T) {
	for _, tc := range []struct {
		summary, title, number, bounds string
	}{
		{"heatmap", "calls that succeed", "36.4%", "22.5 – 50.2"},
		{"wide heatmaps", "calls that succeed, %", "26", ""},
	} {
		p := sweepChart(madeSummaries()[tc.summary]).Panels[0]
		b := p.Boxes[1]
		if p.Title != tc.title || b.Number != tc.number || b.Bounds != tc.bounds {
			t.Errorf("%s: title %q, number %q, bounds %q; want %q, %q, %q",
				tc.summary, p.Title, b.Number, b.Bounds, tc.title, tc.number, tc.bounds)
		}
	}
}

// Panels of one metric share a scale, so that they can be compared.
func TestPanelsShareAScale(t *testing.T) {
	ticks := map[string][]tick{}
	for _, p := range sweepChart(madeSummaries()["many factors"]).Panels {
		if before, ok := ticks[p.Title]; ok && !reflect.DeepEqual(before, p.YAxis.Ticks) {
			t.Errorf("%s has the ticks %v, another panel %v", p.Name(), p.YAxis.Ticks, before)
		}
		ticks[p.Title] = p.YAxis.Ticks
	}
}

// Labels are slanted if they have no room side by side, and upended if they would overlap even
// then.
func TestLabelsOfManyLevels(t *testing.T) {
	for summary, want := range map[string]int{"words": 0, "long words": slanted, "thirty rows": upended} {
		p := sweepChart(madeSummaries()[summary]).Panels[0]
		for _, tick := range p.XAxis.Ticks {
			if tick.Slant != want {
				t.Errorf("%s: the label %q is turned by %d degrees, want %d", summary, tick.Lines, tick.Slant, want)
			}
		}
		if wide := p.Width > panelWidth; wide != (want == upended) {
			t.Errorf("%s: the panel is %v wide", summary, p.Width)
		}
	}
}
