package report

import "math"

// placeLabels places the label of each bubble where it hides nothing: near its bubble if possible,
// else farther away with a line to it. Labels without a free place are left out; the tooltips of
// their bubbles still name them.
func placeLabels(bubbles []bubble, plot rect) {
	taken := obstacles(bubbles)
	for i := range bubbles {
		if bubbles[i].Label.Text == "" {
			continue
		}
		l, ok := place(bubbles[i], taken, plot)
		if !ok {
			l, ok = place(bubbles[i], withoutWhiskers(taken), plot)
		}
		bubbles[i].Label = l
		if !ok {
			continue
		}
		taken = append(taken, obstacle{rect: rect{l.box.x - 2, l.box.y, l.box.w + 4, l.box.h}})
	}
}

// obstacle is something that labels must not hide.
type obstacle struct {
	rect
	whisker bool
}

func obstacles(bubbles []bubble) []obstacle {
	var all []obstacle
	for _, b := range bubbles {
		x, y, r := float64(b.X), float64(b.Y), float64(b.Radius)
		all = append(all, obstacle{rect: rect{x - r, y - r, 2 * r, 2 * r}})
		for _, w := range b.Whiskers {
			left, top := min(float64(w.X1), float64(w.X2)), min(float64(w.Y1), float64(w.Y2))
			right, bottom := max(float64(w.X1), float64(w.X2)), max(float64(w.Y1), float64(w.Y2))
			all = append(all, obstacle{rect{left - 1, top - 1, right - left + 2, bottom - top + 2}, true})
		}
	}
	return all
}

func withoutWhiskers(all []obstacle) []obstacle {
	var rest []obstacle
	for _, o := range all {
		if !o.whisker {
			rest = append(rest, o)
		}
	}
	return rest
}

const (
	labelHeight = 13
	nearby      = 8 // a line joins a label to its bubble from this distance on
)

// place looks for a free place around the bubble, at increasing distances.
func place(b bubble, taken []obstacle, plot rect) (label, bool) {
	w := textWidth(b.Label.Text, tickSize)
	for _, away := range []float64{1, 4, 10, 18, 28, 40, 54, 70, 90, 115, 140} {
		for turn := range 16 {
			// Begin at the right and alternate between below and above, towards the left.
			angle := math.Pi / 8 * float64((turn+1)/2)
			if turn%2 == 1 {
				angle = -angle
			}
			l := labelAt(b, angle, away, w)
			if l.box.within(plot) && !hides(l.box, taken) {
				return l, true
			}
		}
	}
	return label{}, false
}

// labelAt returns the label in a direction from the bubble, at a distance from its edge.
func labelAt(b bubble, angle, away, width float64) label {
	dx, dy := math.Cos(angle), math.Sin(angle)
	r := float64(b.Radius) + away
	x, y := float64(b.X)+dx*(r+width/2), float64(b.Y)+dy*(r+labelHeight/2)
	l := label{Text: b.Label.Text, X: px(x), Y: px(y + 4), box: rect{x - width/2, y - labelHeight/2, width, labelHeight}}
	if away >= nearby {
		edge := float64(b.Radius) * 0.6
		l.Leader = &whisker{
			b.X + px(dx*edge), b.Y + px(dy*edge), px(x - dx*width/2), px(y - dy*labelHeight/2), true, true,
		}
	}
	return l
}

func hides(box rect, taken []obstacle) bool {
	for _, o := range taken {
		if box.overlaps(o.rect) {
			return true
		}
	}
	return false
}
