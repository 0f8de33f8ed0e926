package report

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// Wherever the bubbles are, labels are within the plot and hide neither each other nor a bubble.
func TestPlaceLabels(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	plot := rect{50, 30, 360, 300}
	placed, all := 0, 0
	for range 200 {
		bubbles := make([]bubble, 1+rnd.IntN(16))
		for i := range bubbles {
			b := &bubbles[i]
			b.X, b.Y, b.Radius = px(plot.x+rnd.Float64()*plot.w), px(plot.y+rnd.Float64()*plot.h), px(4+rnd.Float64()*16)
			b.Label.Text = strconv.Itoa(rnd.IntN(1000))
			b.Whiskers = []whisker{{X1: b.X, X2: b.X, Y1: b.Y - 20, Y2: b.Y + 20}}
		}
		placeLabels(bubbles, plot)
		taken := obstacles(bubbles)
		for i, b := range bubbles {
			all++
			if b.Label.Text == "" {
				continue
			}
			placed++
			if !b.Label.box.within(plot) {
				t.Errorf("label %q of a bubble at %v, %v is at %+v, outside of the plot", b.Label.Text, b.X, b.Y, b.Label.box)
			}
			if hides(b.Label.box, withoutWhiskers(taken)) {
				t.Errorf("label %q at %+v hides a bubble", b.Label.Text, b.Label.box)
			}
			for _, other := range bubbles[:i] {
				if other.Label.Text != "" && other.Label.box.overlaps(b.Label.box) {
					t.Errorf("labels %q at %+v and %q at %+v overlap", b.Label.Text, b.Label.box, other.Label.Text, other.Label.box)
				}
			}
		}
	}
	if float64(placed) < 0.98*float64(all) {
		t.Errorf("%d of %d labels were placed, want nearly all", placed, all)
	}
}
