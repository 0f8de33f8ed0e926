package report

import (
	"fmt"
	"html/template"
	"math"
	"regexp"
	"strings"
	"testing"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/look"
)

// linear is a color's red, green and blue as amounts of light, from 0 to 1.
type linear [3]float64

// dichromacies map colors to what people see who lack one kind of cone: Machado, Oliveira and
// Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009,
// at full severity.
var dichromacies = map[string][3]linear{
	"all cones": {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"no red":    {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"no green":  {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"no blue":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

func linearOf(c rgb) (l linear) {
	for i, v := range c {
		l[i] = light(v)
	}
	return l
}

func (c linear) seenWith(m [3]linear) (seen linear) {
	for i, row := range m {
		seen[i] = min(max(row[0]*c[0]+row[1]*c[1]+row[2]*c[2], 0), 1)
	}
	return seen
}

// oklab is the color where distances are as people see them: Ottosson, "A perceptual color space
// for image processing".
func (c linear) oklab() [3]float64 {
	l := math.Cbrt(0.4122214708*c[0] + 0.5363325363*c[1] + 0.0514459929*c[2])
	m := math.Cbrt(0.2119034982*c[0] + 0.6806995451*c[1] + 0.1073969566*c[2])
	s := math.Cbrt(0.0883024619*c[0] + 0.2817188376*c[1] + 0.6299787005*c[2])
	return [3]float64{
		0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
	}
}

func apart(a, b linear) float64 {
	x, y := a.oklab(), b.oklab()
	return math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2])
}

var property = regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6});`)

// themes returns the colors of the page by theme and name.
func themes(t *testing.T) map[string]map[string]rgb {
	t.Helper()
	all := map[string]map[string]rgb{"light": {}, "dark": {}}
	for theme, colors := range all {
		for _, m := range property.FindAllStringSubmatch(look.Colors(theme), -1) {
			colors[m[1]] = parseColor(t, m[2])
		}
	}
	if len(all["light"]) < 20 || len(all["light"]) != len(all["dark"]) {
		t.Fatalf("%d colors in the light theme, %d in the dark one", len(all["light"]), len(all["dark"]))
	}
	return all
}

// light converts a channel of sRGB to an amount of light.
func light(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// The page and the pictures that stand alone have both themes.
func TestStylesHaveBothThemes(t *testing.T) {
	for name, style := range map[string]template.CSS{"page": pageStyle(), "file": fileStyle()} {
		for theme, colors := range themes(t) {
			if c := colors["c8"].String(); !strings.Contains(string(style), "--c8: "+c) {
				t.Errorf("the style of the %s has no --c8: %s of the %s theme", name, c, theme)
			}
		}
	}
}

// Text and marks have the contrast that WCAG 2 requires: 4.5 for text, 3 for graphics.
func TestContrast(t *testing.T) {
	for theme, colors := range themes(t) {
		need := map[string]float64{"ink": 7, "muted": 4.5, "accent": 4.5, "held": 4.5, "broken": 4.5, "unsure": 4.5}
		for _, o := range failover.Outcomes() {
			need[o.String()] = 3
		}
		for i := range 8 {
			need[fmt.Sprintf("c%d", i+1)] = 3
		}
		for name, want := range need {
			c, ok := colors[name]
			if got := contrastOf(c, colors["surface"]); !ok || got < want {
				t.Errorf("%s, %s: contrast %.2f to the surface, want %v", theme, name, got, want)
			}
		}
	}
}

// Marks can be seen on the band, whether they agree or not.
func TestContrastOnBand(t *testing.T) {
	for theme, colors := range themes(t) {
		for _, name := range []string{"c1", "c2"} {
			if got := contrastOf(colors[name], colors["allowed"]); got < 3 {
				t.Errorf("%s, %s: contrast %.2f to the band, want 3", theme, name, got)
			}
		}
	}
}

// Outcomes can be distinguished by color, even with color blindness.
func TestOutcomesCanBeToldApart(t *testing.T) {
	least := map[string]float64{"all cones": 0.12, "no red": 0.08, "no green": 0.08, "no blue": 0.08}
	for theme, colors := range themes(t) {
		for eyes, m := range dichromacies {
			for i, a := range failover.Outcomes() {
				for _, b := range failover.Outcomes()[:i] {
					if d := apart(linearOf(colors[a.String()]).seenWith(m), linearOf(colors[b.String()]).seenWith(m)); d < least[eyes] {
						t.Errorf("%s, %s: %v and %v are %.3f apart, want %v", theme, eyes, a, b, d, least[eyes])
					}
				}
			}
		}
	}
}
