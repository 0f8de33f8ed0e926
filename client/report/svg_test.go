package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// madeSummaries returns summaries of every form that charts have to show.
func madeSummaries() map[string]experiment.Summary {
	longRows := []string{
		"row", "p=0.3 T=1s C=5", "p=0.1 T=2s C=10", "p=0.6 T=0.3s C=2", "p=0.3 T=1s C=2", "an_endless-row of which nobody knows why",
	}
	thirty := []string{"row"}
	for i := range 30 {
		thirty = append(thirty, fmt.Sprintf("the client of number %d and its policy", i+1))
	}
	two := []string{"concurrency", "1", "5"}
	point, order := []string{"crash_point", "arrival", "reply"}, []string{"order", "first", "last"}
	pCrash := []string{"p_crash", "0.1", "0.2"}
	concurrency := []string{"concurrency", "1", "2", "3", "5", "8", "10", "15", "20", "50", "100"}
	uncertain := madeSweep("p_crash", "0.1", "0.2", "0.3")
	for m, i := range uncertain.Cells[0].Metrics {
		i.Low, i.High = math.Inf(-1), math.Inf(1)
		uncertain.Cells[0].Metrics[m] = i
	}
	wide := uncertain.Cells[1].Metrics[design.P99]
	wide.Low, wide.High = -50, 52
	uncertain.Cells[1].Metrics[design.P99] = wide
	uncertain.Cells[2].Metrics = nil // all of its trials were interrupted
	return map[string]experiment.Summary{
		"policies": madePolicies(),
		"rows alone": {Cells: []experiment.CellSummary{
			madeCell("a", nil, 0.9995, 0.5, 1.1), madeCell("b", nil, 0.99, 1.5, 1.2),
		}},
		"hostile names":  madeGrid([]string{"row", `<b>"&'`, "</svg>"}, []string{"concurrency", "1", "5"}),
		"numbers":        madeSweep("p_crash", "0", "0.1", "0.2", "0.3", "0.6"),
		"durations":      madeSweep("timeout", "50ms", "100ms", "200ms", "300ms", "500ms", "1s", "2s", "10s"),
		"words and more": madeSweep("restart_delay", "200ms", "1s", "none"),
		"words":          madeSweep("order", "first", "round-robin", "random", "least_in_flight_of_all"),
		"long words":     madeGrid(longRows, []string{"restart_delay", "none", "1s"}),
		"heatmap":        madeGrid([]string{"p_crash", "0.1", "0.2", "0.3"}, []string{"timeout", "100ms", "500ms", "1s", "2s"}),
		"wide heatmaps":  madeGrid(point, pCrash, concurrency),
		"many factors":   madeGrid(longRows, point, order, two),
		"endless words":  madeSweep("order", "alphabetically_by_name", "indistinguishable", "incomprehensibilities", "counterclockwise", "x"),
		"long groups": madeGrid(longRows, pCrash, []string{"timeout", "1s", "2s"},
			[]string{"service_time", "exponential(mean 100ms)", "lognormal(median 200ms, sigma 0.8)"}),
		"unsure intervals": uncertain,
		"thirty rows":      madeGrid(thirty),
	}
}

func TestChartsAreSound(t *testing.T) {
	for name, s := range madeSummaries() {
		too := withPrediction(s)
		for i, c := range []chart{sweepChart(s), policiesChart(s), sweepChart(too), policiesChart(too), agreementChart(too.Agreements())} {
			if c.empty() {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d %s", name, i, c.Title), func(t *testing.T) {
				for _, p := range c.Panels {
					checkMarks(t, p)
				}
				var b bytes.Buffer
				if err := templates.ExecuteTemplate(&b, "file", newFile(c)); err != nil {
					t.Fatal(err)
				}
				checkPictures(t, b.String())
				checkPictures(t, rendered(t, "fragment", c.fragment(panelWidth)))
			})
		}
	}
}

// checkMarks checks that all marks of a panel are within its plot.
func checkMarks(t *testing.T, p panel) {
	t.Helper()
	within := func(what string, x, y px) {
		t.Helper()
		const rounding = 1e-6
		if !(x >= p.Left-rounding && x <= p.Right+rounding && y >= p.Top-rounding && y <= p.Bottom+rounding) {
			t.Errorf("%s: %s at %v, %v is not within the plot from %v, %v to %v, %v",
				p.Name(), what, x, y, p.Left, p.Top, p.Right, p.Bottom)
		}
	}
	whiskers := func(q point) {
		for _, w := range q.Whiskers {
			within("low end of "+q.Title, w.X1, w.Y1)
			within("high end of "+q.Title, w.X2, w.Y2)
		}
	}
	for _, s := range p.Series {
		for _, q := range s.Points {
			within(q.Title, q.X, q.Y)
			whiskers(q)
		}
	}
	for _, b := range p.Bubbles {
		within(b.Title, b.X, b.Y)
		within(b.Title, b.X, b.Y-b.Radius)
		within(b.Title, b.X+b.Radius, b.Y)
		whiskers(b.point)
	}
	for _, b := range p.Boxes {
		within(b.Title, b.X, b.Y)
		within(b.Title, b.X+b.Width, b.Y+b.Height)
	}
	for _, ticks := range [][]tick{p.XAxis.Ticks, p.YAxis.Ticks} {
		labeled := slices.DeleteFunc(slices.Clone(ticks), func(t tick) bool { return t.Lines == nil })
		if len(labeled) < 2 {
			t.Errorf("%s: %d ticks with labels at an axis, want two or more", p.Name(), len(labeled))
		}
	}
}

// textBox is the approximate position of a text in a picture.
type textBox struct {
	rect
	text, class string
}

// element is an element of a picture, with its content.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
	Text     string     `xml:",chardata"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e element) number(name string) float64 {
	v, _ := strconv.ParseFloat(e.attr(name), 64)
	return v
}

// checkPictures parses XML and checks each panel in it: it has a name for screen readers, all its
// numbers are finite, and its texts are within the picture and do not overlap.
func checkPictures(t *testing.T, text string) {
	t.Helper()
	if bad := regexp.MustCompile(`NaN|Inf|ZgotmplZ|<no value>`).FindString(text); bad != "" {
		t.Errorf("there is a %s in the picture", bad)
	}
	var root element
	if err := xml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("the picture is no XML: %v", err)
	}
	whole := rect{0, 0, 2 * panelWidth, math.Inf(1)} // in a page, which makes it smaller if need be
	if root.XMLName.Local == "svg" {
		whole = rect{0, 0, root.number("width"), root.number("height")}
		checkTexts(t, element{Attrs: root.Attrs, Children: slices.DeleteFunc(slices.Clone(root.Children), func(e element) bool {
			return e.XMLName.Local == "svg"
		})})
	}
	panels := 0
	var visit func(e element)
	visit = func(e element) {
		if e.XMLName.Local == "svg" && strings.HasPrefix(e.attr("class"), "chart") {
			panels++
			checkTexts(t, e)
			place := rect{e.number("x"), e.number("y"), e.number("width"), e.number("height")}
			if !place.within(whole) {
				t.Errorf("a panel at %+v is not within %+v", place, whole)
			}
			title, desc := e.Children[0], e.Children[1]
			if title.XMLName.Local != "title" || title.Text == "" || desc.XMLName.Local != "desc" || desc.Text == "" {
				t.Errorf("a panel does not begin with a title and a description: %+v", e.Children[0])
			}
			return
		}
		for _, c := range e.Children {
			visit(c)
		}
	}
	visit(root)
	if panels == 0 {
		t.Error("there is no panel")
	}
}

func checkTexts(t *testing.T, svg element) {
	t.Helper()
	picture := rect{0, 0, svg.number("width"), svg.number("height")}
	boxes := textBoxes(svg, "", "")
	for i, b := range boxes {
		if !b.within(picture) {
			t.Errorf("%s %q at %+v is not within the picture %+v", b.class, b.text, b.rect, picture)
		}
		for _, other := range boxes[:i] {
			if b.overlaps(other.rect) && b.class != "slanted" && other.class != "slanted" {
				t.Errorf("%s %q at %+v and %s %q at %+v overlap", b.class, b.text, b.rect, other.class, other.text, other.rect)
			}
		}
	}
}

var transformed = regexp.MustCompile(`translate\(([-\d.]+) ([-\d.]+)\) rotate\(([-\d]+)\)`)

// textBoxes returns the texts in e, whose group has the class, with their boxes by the rules of the
// style sheet.
func textBoxes(e element, group, within string) []textBox {
	var boxes []textBox
	for _, c := range e.Children {
		if c.XMLName.Local != "text" {
			boxes = append(boxes, textBoxes(c, c.attr("class"), group)...)
			continue
		}
		b := textBox{text: c.Text, class: c.attr("class")}
		size := 11.0
		switch {
		case b.class == "heading", b.class == "note":
			size = 12
		case b.class == "bounds":
			size = 9
		}
		// textWidth is an overestimate.
		w, x, y := 0.9*textWidth(b.text, size), c.number("x"), c.number("y")+c.number("dy")
		switch {
		case group == "y axis" && b.class == "":
			x -= w
		case group == "x axis", b.class == "number", b.class == "bounds", strings.HasPrefix(b.class, "label"):
			x -= w / 2
		}
		b.rect = rect{x, y - 0.75*size, w, 0.95 * size}
		if m := transformed.FindStringSubmatch(c.attr("transform")); m != nil {
			x, _ = strconv.ParseFloat(m[1], 64)
			y, _ = strconv.ParseFloat(m[2], 64)
			b.rect = rect{x - 0.75*size, y - w/2, size, w}
			switch { // it ends at x, y
			case b.class == "slanted" && m[3] == "-90":
				b.rect, b.class = rect{x - 0.75*size, y, size, w}, "upended" // and so must not overlap
			case b.class == "slanted":
				b.rect = rect{x - 0.82*w, y, 0.82 * w, 0.57 * w}
			}
		}
		boxes = append(boxes, b)
	}
	return boxes
}

func TestChartFile(t *testing.T) {
	var b bytes.Buffer
	if err := Chart(&b, "sweep", madePolicies()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`xmlns="http://www.w3.org/2000/svg"`, "prefers-color-scheme: dark", "--c8:", "<title>what changes with concurrency</title>",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the file has no %s", want)
		}
	}
	if strings.Contains(b.String(), "<script") || strings.Contains(b.String(), "@import") || strings.Contains(b.String(), "url(") {
		t.Error("the file has a script or needs other files")
	}
}

func TestChartRefuses(t *testing.T) {
	single := experiment.Summary{Cells: madePolicies().Cells[:1]}
	for _, tc := range []struct {
		kind string
		s    experiment.Summary
		want string
	}{
		{"pie", madePolicies(), `chart "pie": want sweep, policies or agreement`},
		{"sweep", single, "chart sweep: want a run with two cells or more that differ, with results"},
		{"policies", madeSweep("p_crash", "0.1", "0.2"), "chart policies: want a run with two rows or more, in which calls succeeded"},
		{"agreement", madePolicies(), "chart agreement: want a run with a prediction, which `crashlab validate` adds to a run on processes"},
		{"sweep", experiment.Summary{Cells: make([]experiment.CellSummary, 2)}, "chart sweep: want a run with two cells or more that differ, with results"},
	} {
		var b bytes.Buffer
		if err := Chart(&b, tc.kind, tc.s); err == nil || err.Error() != tc.want || b.Len() > 0 {
			t.Errorf("chart %s: error %v and %d bytes, want %q and none", tc.kind, err, b.Len(), tc.want)
		}
	}
	if !sweepChart(single).empty() || !policiesChart(single).empty() {
		t.Error("a run of one cell has charts in the page, want none")
	}
}

func TestPoliciesShowEveryCell(t *testing.T) {
	c := policiesChart(madePolicies())
	if len(c.Panels) != 1 || len(c.Panels[0].Bubbles) != 11 {
		t.Fatalf("%d panels, want one with the 11 cells in which calls succeeded", len(c.Panels))
	}
	if !slices.Contains(c.Notes, "Not shown, because no call succeeded: original, concurrency 10.") {
		t.Errorf("notes %q do not name the cell that is left out", c.Notes)
	}
	areas := map[string]float64{}
	for _, b := range c.Panels[0].Bubbles {
		areas[b.Title[:strings.Index(b.Title, ":")]] = float64(b.Radius * b.Radius)
		if b.Label.Text == "" {
			t.Errorf("the bubble %q has no label", b.Title)
		}
	}
	if got := areas["waiting, concurrency 10"] / areas["waiting, concurrency 5"]; math.Abs(got-22.9/9.2) > 0.01 {
		t.Errorf("areas are as 1 to %.3f, want as the attempts, 9.2 to 22.9", got)
	}
}
