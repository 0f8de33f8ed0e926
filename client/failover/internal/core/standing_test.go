package core

import (
	"testing"
	"time"
)

// Each step is what happens: f is a failure, s a success, p a probe that found the replica well. A capital letter is one
// that reports something: the replica is to be left out.
func TestStanding(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after int
		steps string
		out   bool
	}{
		{"in good standing at first", 3, "", false},
		{"three failures in a row", 3, "ffF", true},
		{"two are not enough", 3, "ff", false},
		{"a success between", 3, "ffsff", false},
		{"and again three", 3, "ffsffF", true},
		{"one is enough where the policy says so", 1, "F", true},
		{"said once", 3, "ffFfff", true},
		{"a success takes it back, and all is forgiven", 3, "ffFsff", false},
		{"a probe takes it back", 3, "ffFp", false},
		{"on trial: one failure is enough", 3, "ffFpF", true},
		{"a success ends the trial", 3, "ffFpsff", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Standing
			for i, step := range tc.steps {
				switch step {
				case 'f', 'F':
					if out := s.Failed(tc.after); out != (step == 'F') {
						t.Errorf("step %d of %s: to be left out is %v", i+1, tc.steps, out)
					}
				case 's':
					s.Succeeded()
				case 'p':
					s.Probed()
				}
			}
			if s.Out() != tc.out {
				t.Errorf("left out is %v, want %v", s.Out(), tc.out)
			}
		})
	}
}

// The wait before the first probe doubles with every time that the replica was left out and has not succeeded since, up
// to 64 times; one that hangs is asked at once the first time.
func TestStandingBackoff(t *testing.T) {
	var s Standing
	for n := range 10 {
		s.Failed(1)
		want := min(time.Second<<n, 64*time.Second)
		if got := s.Backoff(time.Second, false); got != want {
			t.Errorf("left out for the %d. time: %v before a probe, want %v", n+1, got, want)
		}
		if n == 0 {
			want = 0
		}
		if got := s.Backoff(time.Second, true); got != want {
			t.Errorf("hung for the %d. time: %v before a probe, want %v", n+1, got, want)
		}
		s.Probed()
	}
	s.Succeeded()
	s.Failed(1)
	if got := s.Backoff(time.Second, false); got != time.Second {
		t.Errorf("after a success: %v before a probe, want 1s", got)
	}
}
