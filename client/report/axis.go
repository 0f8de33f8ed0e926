package report

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/crashlab/client/experiment/design"
)

// axis is one side of a plot.
type axis struct {
	Name  string
	Ticks []tick
}

// tick is a mark on an axis. Without Lines it has no label.
type tick struct {
	At    px       // from the left or the top of the picture
	Lines []string // of the label
	Slant int      // of the label, in degrees
}

// SlantX is where a slanted label ends.
func (t tick) SlantX() px {
	if t.Slant == upended {
		return t.At + 4 // the middle of the letters is at the tick
	}
	return t.At
}

// levelAxis places the levels of a factor side by side: by value if the factor is numeric, else at
// equal distances.
type levelAxis struct {
	factor factor
	places []float64 // of the levels
	room   float64   // the least distance between levels
	scale  scale     // of a numeric factor
}

func newLevelAxis(f factor, from, to float64) levelAxis {
	a := levelAxis{factor: f, room: (to - from) / float64(len(f.levels))}
	if f.values == nil {
		for i := range f.levels {
			a.places = append(a.places, from+(float64(i)+0.5)*a.room)
		}
		return a
	}
	low, high := f.values[0], f.values[len(f.values)-1]
	margin := (to - from) * 0.06
	a.scale = scale{low: low, high: high, log: wantsLog(low, high), from: from + margin, to: to - margin}
	a.room = to - from
	for i, v := range f.values {
		a.places = append(a.places, a.scale.at(v))
		if i > 0 {
			a.room = min(a.room, a.places[i]-a.places[i-1])
		}
	}
	return a
}

const (
	tickSize = 11 // font size of labels, in units of the picture
	lineStep = 13 // from one line of text to the next
	maxLines = 3  // of a label at the x axis
	maxSlant = 16 // characters of a slanted label
	maxUpend = 24 // characters of an upended label

	// Degrees by which labels are turned if they have no room side by side, and if they would still
	// overlap then.
	slanted, upended = 35, 90
	slantedRoom      = 19 // least distance between slanted labels
)

// slantOf returns how labels with that room are turned, and how far they reach to the left and down
// per unit of their length.
func slantOf(room float64) (degrees int, reach, drop float64) {
	if room < slantedRoom {
		return upended, 0, 1
	}
	return slanted, 0.84, 0.6
}

// labels returns the ticks at the levels, and the height of their labels below the axis.
func (a levelAxis) labels() ([]tick, float64) {
	if a.factor.values != nil {
		return a.thinned(), lineStep
	}
	lines, most, fits := make([][]string, len(a.places)), 1, true
	for i, l := range a.factor.levels {
		lines[i] = wrap(l, a.room-4)
		most = max(most, len(lines[i]))
		fits = fits && len(lines[i]) <= maxLines && widestOf(lines[i]) <= a.room-2
	}
	ticks, height := make([]tick, len(a.places)), float64(most*lineStep)
	if !fits {
		height = 0
	}
	degrees, reach, drop := slantOf(a.room)
	for i, at := range a.places {
		ticks[i] = tick{At: px(at), Lines: lines[i]}
		if !fits {
			label := shorten(a.factor.levels[i], maxUpend)
			if degrees == slanted {
				label = fitted(shorten(label, maxSlant), at/reach)
			}
			ticks[i].Lines, ticks[i].Slant = []string{label}, degrees
			height = max(height, textWidth(label, tickSize)*drop+lineStep)
		}
	}
	return ticks, height
}

// thinned labels as many levels as there is room for, the first and the last one before the others.
func (a levelAxis) thinned() []tick {
	ticks := make([]tick, len(a.places))
	var taken []rect
	order := []int{0, len(a.places) - 1}
	for i := range a.places {
		order = append(order, i)
	}
	for _, i := range order {
		ticks[i].At = px(a.places[i])
		w := textWidth(a.factor.levels[i], tickSize) + 6
		box := rect{a.places[i] - w/2, 0, w, 1}
		if ticks[i].Lines == nil && !slices.ContainsFunc(taken, box.overlaps) {
			ticks[i].Lines = []string{a.factor.levels[i]}
			taken = append(taken, box)
		}
	}
	return ticks
}

// metricTicks returns the ticks of a scale of the metric, in one unit unless it is logarithmic.
func metricTicks(m design.Metric, s scale, n int) []tick {
	values := s.ticks(n)
	ticks := make([]tick, len(values))
	for i, v := range values {
		u := unitOf(m, s.high)
		if s.log {
			u = unitOf(m, v)
		}
		ticks[i] = tick{At: px(s.at(v)), Lines: []string{shortest(u, v)}}
	}
	return ticks
}

// thin removes the labels of ticks on the x axis that would overlap an earlier label.
func thin(ticks []tick) []tick {
	free := math.Inf(-1)
	for i, t := range ticks {
		w := widestOf(t.Lines)
		if float64(t.At)-w/2 < free {
			ticks[i].Lines = nil
			continue
		}
		free = float64(t.At) + w/2 + 6
	}
	return ticks
}

// shortest prints a round value without trailing zeros.
func shortest(u unit, v float64) string {
	for u.decimals = 0; u.decimals < 6; u.decimals++ {
		if math.Abs(v*u.times*math.Pow10(u.decimals)-math.Round(v*u.times*math.Pow10(u.decimals))) < 1e-6 {
			break
		}
	}
	if v == 0 && u.symbol != "%" {
		return "0"
	}
	return u.print(v)
}

// rect is a rectangle of a picture: its upper left corner and its size.
type rect struct{ x, y, w, h float64 }

func (r rect) overlaps(o rect) bool {
	return r.x < o.x+o.w && o.x < r.x+r.w && r.y < o.y+o.h && o.y < r.y+r.h
}

func (r rect) within(o rect) bool {
	return r.x >= o.x && r.y >= o.y && r.x+r.w <= o.x+o.w && r.y+r.h <= o.y+o.h
}

// textWidth estimates the width of a text in a sans-serif font, rather too large than too small.
func textWidth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfr.,:;|!'()[] ", r):
			w += 0.38
		case strings.ContainsRune("mwMW%=+<>", r):
			w += 0.95
		case r >= 'A' && r <= 'Z':
			w += 0.72
		default:
			w += 0.64
		}
	}
	return w * size
}

func widestOf(lines []string) float64 {
	w := 0.0
	for _, l := range lines {
		w = max(w, textWidth(l, tickSize))
	}
	return w
}

// wrap breaks a label at spaces and after hyphens and underscores into lines of at most that width,
// if possible.
func wrap(label string, width float64) []string {
	parts := strings.Fields(strings.NewReplacer("-", "- ", "_", "_ ").Replace(label))
	if len(parts) == 0 {
		return []string{label}
	}
	lines := parts[:1:1]
	for _, p := range parts[1:] {
		last := lines[len(lines)-1]
		joined := last + " " + p
		if strings.HasSuffix(last, "-") || strings.HasSuffix(last, "_") {
			joined = last + p
		}
		if textWidth(joined, tickSize) <= width {
			lines[len(lines)-1] = joined
		} else {
			lines = append(lines, p)
		}
	}
	return lines
}

// fitted truncates a label to a width.
func fitted(label string, width float64) string {
	for most := utf8.RuneCountInString(label); most > 2; most-- {
		if short := shorten(label, most); textWidth(short, tickSize) <= width {
			return short
		}
	}
	return shorten(label, 2)
}

// shorten truncates a label to a number of characters.
func shorten(label string, most int) string {
	if r := []rune(label); len(r) > most {
		return strings.TrimSpace(string(r[:most-1])) + "…"
	}
	return label
}
