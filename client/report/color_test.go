package report

import (
	"fmt"
	"testing"
)

func parseColor(t *testing.T, s string) rgb {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(s, "#%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatalf("color %q: %v", s, err)
	}
	return rgb{float64(r) / 255, float64(g) / 255, float64(b) / 255}
}

// The guidelines ask for a contrast of 4.5 for text.
func TestHeatIsReadable(t *testing.T) {
	before := -1.0
	for share := -0.1; share <= 1.1; share += 0.001 {
		fill, ink := heat(share)
		f := parseColor(t, fill)
		if c := contrastOf(f, parseColor(t, ink)); c < 4.5 {
			t.Errorf("share %.3f: %s on %s has a contrast of %.2f, want 4.5", share, ink, fill, c)
		}
		if l := f.luminance(); l < before-0.005 {
			t.Errorf("share %.3f is darker than one below it", share)
		} else {
			before = l
		}
	}
}
