package core

import (
	"testing"
	"time"
)

func TestRamp(t *testing.T) {
	const begin = time.Hour
	for _, tc := range []struct {
		name    string
		after   time.Duration
		answers int
		limit   int32
		want    int32
		step    time.Duration
	}{
		{"at first", 0, 0, 0, 16, 250 * ms},
		{"within a lower limit", 0, 0, 5, 5, 250 * ms},
		{"within a higher limit", 0, 0, 50, 16, 250 * ms},
		{"one more with each answer", 100 * ms, 30, 0, 46, 150 * ms},
		{"twice as many each time", 500 * ms, 0, 0, 64, 250 * ms},
		{"both", 600 * ms, 30, 0, 94, 150 * ms},
		{"the last step", 1499 * ms, 0, 0, 512, 1 * ms},
		{"over", 1500 * ms, 0, 0, 0, 0},
		{"over long ago", 10000 * time.Hour, 0, 7, 7, 0},
		{"over by answers", 0, 1008, 0, 0, 0},
		{"before it began, as another goroutine sees it", -ms, 0, 0, 16, 250 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r Ramp
			if r.Limit(tc.limit, begin) != tc.limit || r.Step(begin) != 0 {
				t.Error("a bound before it began")
			}
			r.Answered()
			r.Begin(begin)
			for range tc.answers {
				r.Answered()
			}
			if got := r.Limit(tc.limit, begin+tc.after); got != tc.want {
				t.Errorf("limit %d, want %d", got, tc.want)
			}
			if got := r.Step(begin + tc.after); got != tc.step {
				t.Errorf("rises after %v, want %v", got, tc.step)
			}
		})
	}
}
