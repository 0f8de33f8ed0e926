package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The flags' types. Each refuses what is not allowed with the value and what is.

// target is a gRPC target. A list without a scheme is a static one.
type target string

func (t *target) UnmarshalText(text []byte) error {
	*t = target(text)
	if len(text) > 0 && !strings.Contains(string(text), "://") {
		*t = "static:///" + *t
	}
	return nil
}

// count is a whole number from 1.
type count int

func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("%q: want a whole number from 1", text)
	}
	*c = count(n)
	return nil
}

// duration is a time.Duration that is not negative.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q: want a duration with its unit, such as 500ms or 2s, 0s or more", text)
	}
	*d = duration(v)
	return nil
}

// share is a number from 0 to 1.
type share float64

func (s *share) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q: want 0 to 1, such as 0.99", text)
	}
	*s = share(v)
	return nil
}
