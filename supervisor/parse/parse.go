// Package parse parses values that people write in flags, environment variables and files. The
// three programs share it, so that the same text means the same everywhere and is rejected with the
// same message.
//
// Every error is one line: the quoted text and what is allowed. The caller adds where the text came
// from. Use the standard library's strconv for machine-made input.
package parse

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxPort is the highest TCP port.
const MaxPort = 65535

// Whole parses a whole number from least to most, both included. A most of [math.MaxInt] means no
// upper bound.
func Whole(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && least <= n && n <= most:
		return n, nil
	case most == math.MaxInt:
		return 0, fmt.Errorf("%q: want a whole number from %d", text, least)
	}
	return 0, fmt.Errorf("%q: want a whole number from %d to %d", text, least, most)
}

// Uint64 parses a whole number from 0 to 2⁶⁴-1.
func Uint64(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: want a whole number from 0", text)
	}
	return n, nil
}

// Number parses a number from least to most, both included. It never returns NaN or a negative
// zero.
func Number(text string, least, most float64) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= least && x <= most) { // also false for NaN
		spell := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
		return 0, fmt.Errorf("%q: want a number from %s to %s", text, spell(least), spell(most))
	}
	return x + 0, nil
}

// Duration parses a duration with its unit, such as 1.5s. It must not be negative.
func Duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: want a duration with its unit, such as 500ms or 2s, 0s or more", text)
	}
	return d, nil
}

// Bool parses true or false.
func Bool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, fmt.Errorf("%q: want true or false", text)
	}
	return text == "true", nil
}

// OneOf returns the value whose String method returns text.
func OneOf[T fmt.Stringer](text string, values ...T) (T, error) {
	var words []string
	for _, v := range values {
		if v.String() == text {
			return v, nil
		}
		words = append(words, v.String())
	}
	return *new(T), fmt.Errorf("%q: want %s", text, Or(words))
}

// LogLevel parses the name of a log level: trace, debug, info, warn, error or off.
func LogLevel(text string) (string, error) {
	levels := []string{"trace", "debug", "info", "warn", "error", "off"}
	if !slices.Contains(levels, text) {
		return "", fmt.Errorf("%q: want %s", text, Or(levels))
	}
	return text, nil
}

// HostPort parses HOST:PORT. The host may be empty, a name or an address. Port 0, which stands for
// any free port, is allowed only if least is 0; otherwise least is 1.
func HostPort(text string, least int) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		var n uint64
		n, err = strconv.ParseUint(port, 10, 16)
		if err == nil && n >= uint64(least) {
			return text, nil
		}
	}
	if least == 0 {
		return "", fmt.Errorf("%q: want HOST:PORT, with a port from 0 (any that is free) to %d", text, MaxPort)
	}
	return "", fmt.Errorf("%q: want HOST:PORT, with a port of %d to %d", text, least, MaxPort)
}

// Or joins words as in "a, b or c".
func Or(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
