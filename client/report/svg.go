package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment"
)

// px is a length or a position in a picture. Its text has one decimal.
type px float64

func (p px) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*10)/10+0, 'f', -1, 64)
}

// panel is one picture of a chart.
type panel struct {
	X, Y, Width, Height px // X and Y are its position in a file
	Title, Group, Desc  string
	Class               string // of the whole panel; may be empty

	Left, Top, Right, Bottom px // the edges of the plot
	XAxis, YAxis             axis
	XNameY                   px // the baseline of the x axis's name

	Key      []keyItem
	Bands    []string // paths of areas below everything else
	Diagonal string   // path of a line from corner to corner; may be empty
	Series   []series
	Boxes    []heatBox
	Bubbles  []bubble
	Labels   []label // of points
}

// MiddleX and MiddleY are the middle of the plot.
func (p panel) MiddleX() px { return (p.Left + p.Right) / 2 }
func (p panel) MiddleY() px { return (p.Top + p.Bottom) / 2 }

// groupStep is the height of the line that names the panel's group.
const groupStep = 15

// under sets the top and the bottom of a plot of that height, below the name of the group, if any.
func (p *panel) under(g group, height float64) {
	p.Top, p.Group = plotTop, g.name
	if g.name != "" {
		p.Top += groupStep
	}
	p.Bottom = p.Top + px(height)
}

// Name is the title and the group.
func (p panel) Name() string {
	if p.Group == "" {
		return p.Title
	}
	return p.Title + ": " + p.Group
}

// GroupLine is the name of the group, truncated to the panel's width.
func (p panel) GroupLine() string { return fitted(p.Group, float64(p.Width)) }

// YLabelX is the right end of the labels of the y axis. XLabelY is the baseline of the i-th line of
// the labels of the x axis.
func (p panel) YLabelX() px      { return p.Left - 6 }
func (p panel) XLabelY(i int) px { return p.Bottom + 15 + px(i*lineStep) }

func (p panel) hasMissing() bool {
	return slices.ContainsFunc(p.Series, func(s series) bool {
		return slices.ContainsFunc(s.Points, func(p point) bool { return p.Missing })
	})
}

// keyItem explains a color and a shape.
type keyItem struct {
	X, Y  px
	Class string
	Shape string
	Name  string
}

// NameX and NameY are the position of the name, to the right of the mark.
func (k keyItem) NameX() px { return k.X + 10 }
func (k keyItem) NameY() px { return k.Y + 4 }

// series is points of one color.
type series struct {
	Class  string
	Shape  string
	Path   string // of the line through the points; may be empty
	Points []point
}

// point is an estimate with its interval.
type point struct {
	X, Y     px
	Whiskers []whisker
	Title    string
	Missing  bool // there is no estimate; the point marks where it would be
	Ring     px   // radius of a ring around it; 0 for none
}

// whisker is an interval drawn as a line from its low to its high bound. A bound outside the plot
// is open.
type whisker struct {
	X1, Y1, X2, Y2    px
	OpenLow, OpenHigh bool
}

// Path draws the line, with a cap at each bound that is not open.
func (w whisker) Path() string {
	path := fmt.Sprintf("M%v %vL%v %v", w.X1, w.Y1, w.X2, w.Y2)
	stroke := "m-3 0h6"
	if w.Y1 == w.Y2 {
		stroke = "m0-3v6"
	}
	if !w.OpenLow {
		path += fmt.Sprintf("M%v %v%s", w.X1, w.Y1, stroke)
	}
	if !w.OpenHigh {
		path += fmt.Sprintf("M%v %v%s", w.X2, w.Y2, stroke)
	}
	return path
}

// colors is the number of colors for series.
const colors = 8

// seriesClass returns the classes of the i-th series, from 0.
func seriesClass(i int) string {
	class := "c" + strconv.Itoa(i%colors+1)
	if i >= colors {
		class += " dashed"
	}
	return class
}

// shapes distinguish series without colors.
var shapes = []string{
	"M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",            // disc
	"M-3.6-3.6h7.2v7.2h-7.2z",                       // square
	"M0-4.8 4.6 3.4h-9.2z",                          // triangle
	"M0-5 5 0 0 5-5 0z",                             // diamond
	"M0 4.8-4.6-3.4h9.2z",                           // triangle on its head
	"M-1.6-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z", // cross
	"M0-5 4.8-1.5 2.9 4.1h-5.8l-1.9-5.6z",           // pentagon
	"M-2.5-4.3h5l2.5 4.3-2.5 4.3h-5l-2.5-4.3z",      // hexagon
}

func shapeOf(i int) string { return shapes[i%len(shapes)] }

// lineThrough returns the path through the points in their order, interrupted at missing ones.
func lineThrough(points []point) string {
	var b strings.Builder
	command := "M"
	for _, p := range points {
		if p.Missing {
			command = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%v %v", command, p.X, p.Y)
		command = "L"
	}
	return b.String()
}

// chart is a set of panels that are shown together.
type chart struct {
	Title  string
	Class  string    // of the key; may be empty
	Series []string  // names for the key, which omits a single one
	Discs  bool      // all series have discs for shapes
	Marks  []keyItem // further items of the key, without positions
	Panels []panel
	Notes  []string // below the panels

	// Only in a file: put the panels one below the other, and add notes that the page shows
	// elsewhere.

	Tall    bool
	Details []string
}

// keyItems returns the items of the key, without positions.
func (c chart) keyItems() []keyItem {
	var items []keyItem
	for i, name := range c.Series {
		item := keyItem{Class: seriesClass(i), Shape: shapeOf(i), Name: name}
		if c.Discs {
			item.Shape = shapes[0]
		}
		items = append(items, item)
	}
	if len(items) == 1 {
		items = nil
	}
	return append(items, c.Marks...)
}

// key returns a panel of at most that width that explains colors and shapes; none if there is
// nothing to explain.
func (c chart) key(width float64) []panel {
	const indent, lineHeight, gap = 16, 20, 16
	p := panel{Title: "key", Class: c.Class, Height: lineHeight}
	var names []string
	x := 0.0
	for _, item := range c.keyItems() {
		names = append(names, item.Name)
		item.Name = fitted(item.Name, (width-indent)*tickSize/12)
		w := indent + textWidth(item.Name, 12)
		if x > 0 && x+w > width {
			x, p.Height = 0, p.Height+lineHeight
		}
		item.X, item.Y = px(x+6), p.Height-lineHeight/2
		p.Key = append(p.Key, item)
		p.Width = max(p.Width, px(x+w))
		x += w + gap
	}
	if names == nil {
		return nil
	}
	p.Desc = "Colors and shapes: " + strings.Join(names, ", ") + "."
	return []panel{p}
}

func (c chart) empty() bool { return len(c.Panels) == 0 }

// fragment is a chart as part of the page, which arranges its panels. It has none if the chart is
// empty.
type fragment struct {
	chart
	Key []panel // one or none
}

// fragment returns the chart as a fragment whose key has at most that width.
func (c chart) fragment(keyWidth float64) fragment { return fragment{c, c.key(keyWidth)} }

// Chart writes a chart of the run as a self-contained SVG file. Kind is sweep (the metrics against
// the factors), policies (success against p99, for designs with rows) or agreement (predicted
// against measured values). It returns a [NotShown] if the run has nothing to show in the chart.
func Chart(w io.Writer, kind string, summary experiment.Summary) error {
	var c chart
	var want string
	switch kind {
	case "sweep":
		c, want = sweepChart(summary), "two cells or more that differ, with results"
	case "policies":
		c, want = policiesChart(summary), "two rows or more, in which calls succeeded"
	case "agreement":
		c, want = agreementChart(summary.Agreements()), "a prediction, which `crashlab validate` adds to a run on processes"
	default:
		return fmt.Errorf("chart %q: want sweep, policies or agreement", kind)
	}
	if c.empty() {
		return NotShown(fmt.Sprintf("chart %s: want a run with %s", kind, want))
	}
	return templates.ExecuteTemplate(w, "file", newFile(c))
}

// NotShown is the reason why a run has no such chart.
type NotShown string

func (n NotShown) Error() string { return string(n) }

// file is a chart in a file of its own.
type file struct {
	chart
	Width, Height px
	Lines         []noteLine
	Style         template.CSS
}

type noteLine struct {
	Y    px
	Text string
}

// newFile arranges the panels in lines of two, below the key.
func newFile(c chart) file {
	const margin, gap, noteStep = 12, 20, 16
	columns := 2
	if c.Tall {
		columns = 1
	}
	f := file{chart: c, Style: fileStyle()}
	f.Panels = nil
	width, y := c.width(columns, gap), px(margin)
	add := func(line []panel) {
		x, height := px(margin), px(0)
		for _, p := range line {
			p.X, p.Y = x, y
			f.Panels = append(f.Panels, p)
			x, height = x+p.Width+gap, max(height, p.Height)
		}
		y += height + gap
	}
	if k := c.key(float64(width)); k != nil {
		add(k)
	}
	for line := range slices.Chunk(c.Panels, columns) {
		add(line)
	}
	for _, n := range slices.Concat(c.Notes, c.Details) {
		for _, l := range wrap(n, float64(width)*tickSize/12) {
			f.Lines = append(f.Lines, noteLine{y, l})
			y += noteStep
		}
	}
	f.Width, f.Height = width+2*margin, y
	return f
}

// width returns the width of the widest line of panels.
func (c chart) width(columns int, gap px) px {
	widest := px(0)
	for line := range slices.Chunk(c.Panels, columns) {
		w := -gap
		for _, p := range line {
			w += p.Width + gap
		}
		widest = max(widest, w)
	}
	return widest
}
