package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/parse"
)

// The types of flags. The error for a bad value contains it and what is allowed.

// schemes are the schemes of targets: those that gRPC resolves, and failover's own.
var schemes = []string{"static", "dns", "passthrough", "unix", "unix-abstract"}

// target is a gRPC target. A list of addresses without a scheme is static.
type target string

func (t *target) UnmarshalText(text []byte) error {
	*t = target(text)
	if len(text) == 0 {
		return errors.New(`"": want a gRPC target such as static:///HOST:PORT,HOST:PORT or dns:///HOST:PORT`)
	}
	scheme, rest, ok := strings.Cut(string(text), ":")
	switch {
	case ok && slices.Contains(schemes, scheme):
	case strings.Contains(rest, "//"):
		return fmt.Errorf("%q: unknown scheme %q: want one of %s", text, scheme, strings.Join(schemes, ", "))
	default:
		*t = "static:///" + *t
	}
	if scheme != "dns" {
		return nil
	}
	if _, port, err := net.SplitHostPort(strings.TrimLeft(rest, "/")); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("%q: port %q: want 1 to 65535", text, port)
		}
	}
	return nil
}

// lookUp returns an error for a static target with a host name that does not resolve. Without this
// check, each attempt would look the name up in vain.
func (t target) lookUp(ctx context.Context) error {
	list, ok := strings.CutPrefix(string(t), "static:///")
	if !ok {
		return nil // gRPC resolves it
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	for addr := range strings.SplitSeq(list, ",") {
		if host, _, err := net.SplitHostPort(addr); err == nil {
			if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
				return fmt.Errorf("%q: replica %q: %w: want a host that resolves", string(t), addr, err)
			}
		}
	}
	return nil
}

// lookUpTime bounds the lookup of the hosts of a target.
const lookUpTime = 5 * time.Second

// count is a whole number from 1.
type count int

func (c *count) UnmarshalText(text []byte) error {
	n, err := parse.Whole(string(text), 1, math.MaxInt)
	*c = count(n)
	return err
}

// workers is the number of callers of a closed loop.
type workers int

func (w *workers) UnmarshalText(text []byte) error {
	n, err := parse.Whole(string(text), 1, workload.MaxWorkers)
	*w = workers(n)
	return err
}

// duration is a time.Duration from 0s to [failover.MaxDuration].
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := design.ReadDuration(string(text))
	*d = duration(v)
	return err
}

// share is a number from 0 to 1.
type share float64

func (s *share) UnmarshalText(text []byte) error {
	v, err := parse.Number(string(text), 0, 1)
	*s = share(v)
	return err
}

// level is a factor and its value: FACTOR=VALUE.
type level design.Level

func (l *level) UnmarshalText(text []byte) error {
	factor, value, ok := strings.Cut(string(text), "=")
	if !ok {
		return fmt.Errorf("%q: want FACTOR=VALUE, such as timeout=300ms", text)
	}
	known, err := design.NewLevel(factor, value)
	*l = level(known)
	return err
}

// serviceTime is a distribution in the syntax of a design.
type serviceTime struct {
	fault.Distribution
	text string
}

func (s *serviceTime) UnmarshalText(text []byte) (err error) {
	s.text = string(text)
	s.Distribution, err = design.ReadServiceTime(s.text)
	return err
}

// rate is a number of calls a second; zero if it is not given.
type rate float64

func (r *rate) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= workload.MinRate && v <= workload.MaxRate) {
		return fmt.Errorf("%q: want %v to %d calls a second", text, workload.MinRate, workload.MaxRate)
	}
	*r = rate(v)
	return nil
}

// seed is the seed of a random generator.
type seed uint64

func (s *seed) UnmarshalText(text []byte) error {
	v, err := parse.Uint64(string(text))
	*s = seed(v)
	return err
}

// chart names a chart of a report; empty for none.
type chart string

func (c *chart) UnmarshalText(text []byte) error {
	if kind := string(text); kind != "sweep" && kind != "policies" && kind != "agreement" {
		return fmt.Errorf("%q: want sweep, policies or agreement", kind)
	}
	*c = chart(text)
	return nil
}
