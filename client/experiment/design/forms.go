package design

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/parse"
)

// form is how files spell the values of a type. parse accepts what spell returns, and equal values
// are spelled alike. Errors of parse begin with the text and say what is allowed.
type form[T any] struct {
	spell func(T) string
	parse func(string) (T, error)
}

func whole(least, most int) form[int] {
	return form[int]{strconv.Itoa, func(text string) (int, error) {
		return parse.Whole(text, least, most)
	}}
}

// number is a number from 0 to most.
func number(most float64) form[float64] {
	return form[float64]{spellNumber, func(text string) (float64, error) {
		return parse.Number(text, 0, most)
	}}
}

func spellNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// rate is a number of calls a second that an open loop may have, or 0 for a closed loop.
var rate = form[float64]{spellNumber, func(text string) (float64, error) {
	n, err := parse.Number(text, 0, workload.MaxRate)
	if err != nil || n > 0 && n < workload.MinRate {
		return 0, fmt.Errorf("%q: want 0, or a number from %s to %d", text, spellNumber(workload.MinRate), workload.MaxRate)
	}
	return n, nil
}}

var duration = form[time.Duration]{spellDuration, ReadDuration}

// ReadDuration parses a duration of a design, up to [failover.MaxDuration].
func ReadDuration(text string) (time.Duration, error) {
	d, err := parse.Duration(text)
	if err == nil && d > failover.MaxDuration {
		return 0, fmt.Errorf("%q: want a duration with its unit, from 0s to %s", text, spellDuration(failover.MaxDuration))
	}
	return d, err
}

// spellDuration spells durations as Go does, without the trailing zeros of 1h0m0s.
func spellDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// distribution spells the durations of a distribution as duration does, and lists those that come
// from a file.
var distribution = form[fault.Distribution]{fault.Distribution.String, func(text string) (fault.Distribution, error) {
	d, err := readDistribution(text)
	if err != nil {
		return d, err
	}
	fields := strings.Split(d.String(), ":")
	for i, f := range fields {
		v, err := time.ParseDuration(f)
		if err != nil {
			continue // the name of the distribution
		}
		if v > failover.MaxDuration {
			return d, fmt.Errorf("%q: want 0, a duration or a distribution of durations from 0s to %s", text, spellDuration(failover.MaxDuration))
		}
		fields[i] = spellDuration(v)
	}
	if spelled := strings.Join(fields, ":"); spelled != "0s" {
		return d, d.UnmarshalText([]byte(spelled))
	}
	return fault.Distribution{}, nil
}}

// ReadServiceTime parses a service time as a design spells it.
func ReadServiceTime(text string) (fault.Distribution, error) { return distribution.parse(text) }

func readDistribution(text string) (d fault.Distribution, err error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		return measured(path)
	}
	if err = d.UnmarshalText([]byte(text)); err != nil {
		err = fmt.Errorf("%w, or file:PATH with a duration on each line", err)
	}
	return d, err
}

// maxMeasured is the largest size of a file of durations, in bytes.
const maxMeasured = 64 << 20

// measured reads a file with a duration on each line. It skips empty lines and lines that begin
// with #.
func measured(path string) (d fault.Distribution, err error) {
	name := strconv.Quote("file:" + path)
	text, err := inputfile.Read(path, maxMeasured)
	if refused, ok := errors.AsType[*inputfile.Refused](err); ok {
		return d, fmt.Errorf("%s: %s", name, refused.What)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("%s: no such file: want one with a duration on each line", name)
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", name, err)
	}
	var all []time.Duration
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		v, err := ReadDuration(line)
		if err != nil {
			return d, fmt.Errorf("%s: line %d: %w", name, number, err)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return d, fmt.Errorf("%s: no duration in it: want one on each line", name)
	}
	return fault.Values(all, fault.MaxValues), nil
}

// or extends a form by a word that stands for one value.
func or[T comparable](f form[T], word string, value T) form[T] {
	return form[T]{
		spell: func(v T) string {
			if v == value {
				return word
			}
			return f.spell(v)
		},
		parse: func(text string) (T, error) {
			if text == word {
				return value, nil
			}
			v, err := f.parse(text)
			if err != nil {
				return v, fmt.Errorf("%w, or %s", err, word)
			}
			return v, nil
		},
	}
}

// text is the form of a type that implements fmt.Stringer and encoding.TextUnmarshaler.
func text[T fmt.Stringer, P interface {
	*T
	encoding.TextUnmarshaler
}]() form[T] {
	return form[T]{T.String, func(text string) (v T, err error) {
		err = P(&v).UnmarshalText([]byte(text))
		return v, err
	}}
}

var boolean = form[bool]{strconv.FormatBool, parse.Bool}
