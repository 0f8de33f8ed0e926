package parse

import (
	"math"
	"testing"
	"time"
)

type color string

func (c color) String() string { return string(c) }

func TestValues(t *testing.T) {
	check := func(got any, err error, want any) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	n, err := Whole("7", 1, 7)
	check(n, err, 7)
	u, err := Uint64("18446744073709551615")
	check(u, err, uint64(math.MaxUint64))
	x, err := Number("-0", 0, 1)
	check(x, err, 0.0)
	if math.Signbit(x) {
		t.Error("got -0, want 0")
	}
	d, err := Duration("1.5s")
	check(d, err, 1500*time.Millisecond)
	b, err := Bool("true")
	check(b, err, true)
	c, err := OneOf("red", color("blue"), color("red"))
	check(c, err, color("red"))
	l, err := LogLevel("off")
	check(l, err, "off")
	a, err := HostPort("[::1]:0", 0)
	check(a, err, "[::1]:0")
}

func TestRefusals(t *testing.T) {
	check := func(_ any, err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, text := range []string{"", "x", "1.5", "0", "8", "99999999999999999999"} {
		n, err := Whole(text, 1, 7)
		check(n, err, `"`+text+`": want a whole number from 1 to 7`)
	}
	n, err := Whole("-1", 0, math.MaxInt)
	check(n, err, `"-1": want a whole number from 0`)
	u, err := Uint64("-1")
	check(u, err, `"-1": want a whole number from 0`)
	for _, text := range []string{"", "30%", "NaN", "Inf", "-0.1", "1.01"} {
		x, err := Number(text, 0, 1)
		check(x, err, `"`+text+`": want a number from 0 to 1`)
	}
	for _, text := range []string{"", "5", "-5s", "1 s"} {
		d, err := Duration(text)
		check(d, err, `"`+text+`": want a duration with its unit, such as 500ms or 2s, 0s or more`)
	}
	b, err := Bool("yes")
	check(b, err, `"yes": want true or false`)
	c, err := OneOf("x", color("a"), color("b"), color("c"))
	check(c, err, `"x": want a, b or c`)
	l, err := LogLevel("loud")
	check(l, err, `"loud": want trace, debug, info, warn, error or off`)
	for _, text := range []string{"a", "a:0", "a:+1", "a:65536", "a:http", "1:2:3"} {
		a, err := HostPort(text, 1)
		check(a, err, `"`+text+`": want HOST:PORT, with a port of 1 to 65535`)
	}
}
