package fault

import (
	"math"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, text string) Distribution {
	t.Helper()
	var d Distribution
	if err := d.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDistribution(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		text                   string
		least, median, nearEnd time.Duration // at u = 0, 1/2 and 1 - 1/1024
	}{
		{"0", 0, 0, 0},
		{"0s", 0, 0, 0},
		{"50ms", 50 * ms, 50 * ms, 50 * ms},
		{"1500ms", 1500 * ms, 1500 * ms, 1500 * ms},
		{"uniform:50ms:500ms", 50 * ms, 275 * ms, 500*ms - 450*ms/1024},
		{"uniform:5ms:5ms", 5 * ms, 5 * ms, 5 * ms},
		{"exp:100ms", 0, 69314718, 693147180},
		{"exp:2000000h", 0, math.MaxInt64, math.MaxInt64},
		{"exp:0", 0, 0, 0},
		{"values:5ms", 5 * ms, 5 * ms, 5 * ms},
		{"values:0:2ms:2ms:9ms", 0, 2 * ms, 9 * ms},
	} {
		d := parse(t, test.text)
		if d.String() != test.text {
			t.Errorf("%q prints as %q", test.text, d)
		}
		for u, want := range map[float64]time.Duration{0: test.least, 0.5: test.median, 1 - 1.0/1024: test.nearEnd} {
			if test.text == "exp:2000000h" && u == 0.5 {
				continue // fits; only the tail does not
			}
			if got := d.Quantile(u); (got - want).Abs() > 1 {
				t.Errorf("%s: quantile %v is %d, want %d", test.text, u, got, want)
			}
		}
	}
	var zero Distribution
	if zero.String() != "0s" || zero.Quantile(0.99) != 0 {
		t.Errorf("the zero Distribution is %v with a quantile of %v, want 0s", zero, zero.Quantile(0.99))
	}
}

func TestDistributionRefuses(t *testing.T) {
	for _, text := range []string{
		"", "5", "ms", "-5ms", "NaN", "50ms:60ms",
		"uniform", "uniform:5ms", "uniform:5ms:1ms", "uniform:-1ms:5ms", "uniform:1:5ms", "uniform:1ms:5ms:9ms", "uniform::",
		"exp", "exp:", "exp:-1ms", "exp:1", "exp:1ms:2ms", "normal:5ms", "Exp:5ms", " 5ms", "99999999h",
		"values", "values:", "values:1", "values:-1ms:1ms", "values:2ms:1ms", "values" + strings.Repeat(":1ms", MaxValues+1),
	} {
		d := parse(t, "7ms")
		err := d.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), `"`+text+`": want 0, a duration`) {
			t.Errorf("%q: error %v, want one that names it and what is allowed", text, err)
		}
		if d.String() != "7ms" || d.Quantile(0) != 7*time.Millisecond {
			t.Errorf("%q changed the distribution to %v", text, d)
		}
	}
}

// Measured durations are drawn as often as they were measured. Too many are replaced by quantiles.
func TestValues(t *testing.T) {
	const ms = time.Millisecond
	few := Values([]time.Duration{9 * ms, ms, 2*ms + 400, ms}, MaxValues)
	if want := parse(t, "values:1ms:1ms:2ms:9ms"); few != want {
		t.Errorf("%v, want %v", few, want)
	}
	var many []time.Duration
	for i := range 50 * MaxValues {
		many = append(many, time.Duration(i)*ms)
	}
	d := Values(many, MaxValues)
	if n := strings.Count(d.String(), ":"); n != MaxValues {
		t.Errorf("%d durations, want %d", n, MaxValues)
	}
	for _, i := range []int{0, 1, MaxValues / 2, MaxValues - 1} { // the middle one of each fifty
		if got, want := d.Quantile((float64(i)+0.5)/MaxValues), many[50*i+25]; got != want {
			t.Errorf("the duration %d is %v, want %v", i, got, want)
		}
	}
	if again := parse(t, d.String()); again != d {
		t.Error("its text does not parse as the same distribution")
	}
}

// Every text that is accepted prints unchanged, and has quantiles that are not negative and never
// decrease.
func FuzzDistribution(f *testing.F) {
	for _, text := range []string{"0", "50ms", "uniform:50ms:500ms", "exp:100ms", "exp:2000000h", "uniform:5ms:1ms", "exp:-1ms", "uniform::", "values:1ms:1ms:7ms"} {
		f.Add(text, 0.25, 0.75)
	}
	f.Fuzz(func(t *testing.T, text string, u, v float64) {
		var d Distribution
		if d.UnmarshalText([]byte(text)) != nil || !(0 <= u && u <= v && v < 1) {
			return
		}
		if d.String() != text {
			t.Errorf("%q prints as %q", text, d)
		}
		if least, less, more := d.Quantile(0), d.Quantile(u), d.Quantile(v); least < 0 || less < least || more < less {
			t.Errorf("%q: quantiles %v, %v and %v at 0, %v and %v", text, least, less, more, u, v)
		}
	})
}
