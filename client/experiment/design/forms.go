package design

import (
	"encoding"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/parse"
)

// form is how values of a type are spelt in files. What spell writes, parse reads; equal values are spelt alike. The
// errors of parse begin with the text and say what is allowed.
type form[T any] struct {
	spell func(T) string
	parse func(string) (T, error)
}

func whole(least, most int) form[int] {
	return form[int]{strconv.Itoa, func(text string) (int, error) {
		return parse.Whole(text, least, most)
	}}
}

// number is one from 0.
func number(most float64) form[float64] {
	return form[float64]{spellNumber, func(text string) (float64, error) {
		return parse.Number(text, 0, most)
	}}
}

func spellNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

var duration = form[time.Duration]{spellDuration, parse.Duration}

// spellDuration leaves out the zeros at the end of 1h0m0s.
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

// distribution spells the durations in a distribution as duration does.
var distribution = form[fault.Distribution]{fault.Distribution.String, func(text string) (fault.Distribution, error) {
	var d fault.Distribution
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return d, err
	}
	fields := strings.Split(text, ":")
	for i, f := range fields {
		if v, err := time.ParseDuration(f); err == nil {
			fields[i] = spellDuration(v)
		}
	}
	if spelt := strings.Join(fields, ":"); spelt != "0s" {
		return d, d.UnmarshalText([]byte(spelt))
	}
	return fault.Distribution{}, nil
}}

// or adds a word that stands for a value of its own.
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

// text is a type that spells and reads itself.
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
