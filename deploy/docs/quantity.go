package main

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// quantity is a number with its unit, and how many decimals it was written with.
type quantity struct {
	number   float64
	decimals int
	unit     string
}

// figure is a quantity, and its interval if there is one.
type figure struct {
	text     string
	value    quantity
	interval []quantity // none, or both ends
	plain    string     // the text without the interval
}

const aNumber = `[+−-]?\d+(?:,\d{3})*(?:\.\d+)?(?: ?(?:%|(?:ns|µs|ms|s|min|m|h)\b))?`

var (
	quantityText = regexp.MustCompile(`^([+−-]?)(\d+(?:,\d{3})*)(\.\d+)? ?(\D*)$`)
	figureText   = regexp.MustCompile(`^(` + aNumber + `)(?: \[(` + aNumber + `), (` + aNumber + `)\])?`)
)

// seconds are the units of time.
var seconds = map[string]float64{"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "m": 60, "h": 3600}

// figureAt returns the figure that a text begins with.
func figureAt(text string) (figure, bool) {
	m := figureText.FindStringSubmatch(text)
	if m == nil {
		return figure{}, false
	}
	f := figure{text: m[0], value: quantityOf(m[1]), plain: m[1]}
	if m[2] != "" {
		f.interval = []quantity{quantityOf(m[2]), quantityOf(m[3])}
		for i, end := range f.interval {
			if end.unit == "" {
				f.interval[i].unit = f.value.unit
			}
		}
	}
	return f, true
}

// wholeFigure is figureAt for a text that is nothing else.
func wholeFigure(text string) (figure, bool) {
	f, ok := figureAt(text)
	return f, ok && f.text == text
}

// quantityOf reads what aNumber matches.
func quantityOf(text string) quantity {
	m := quantityText.FindStringSubmatch(text)
	number, err := strconv.ParseFloat(strings.ReplaceAll(m[2], ",", "")+m[3], 64)
	if err != nil {
		return quantity{number: math.NaN()}
	}
	if m[1] == "-" || m[1] == "−" {
		number = -number
	}
	return quantity{number, max(0, len(m[3])-1), m[4]}
}

// rounds reports whether q is another quantity, rounded to the decimals that q is written with.
func (q quantity) rounds(other quantity) bool {
	scale, isTime := seconds[q.unit]
	otherScale, otherIsTime := seconds[other.unit]
	if isTime != otherIsTime || !isTime && q.unit != other.unit {
		return false
	}
	if !isTime {
		scale, otherScale = 1, 1
	}
	half := 0.5 * math.Pow10(-q.decimals)
	return math.Abs(q.number-other.number*otherScale/scale) <= half*(1+1e-9)
}

// rounds reports whether f is another figure, rounded; without an interval f only has its value.
func (f figure) rounds(other figure) bool {
	if !f.value.rounds(other.value) || len(f.interval) > len(other.interval) {
		return false
	}
	for i, end := range f.interval {
		if !end.rounds(other.interval[i]) {
			return false
		}
	}
	return true
}
