package core

import (
	"math"
	"testing"
	"time"
)

// Each step is an event: f is a failure, s a success, p a probe that found the replica healthy. A
// capital letter means that the event reports an ejection.
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
		{"a success clears it", 3, "ffFsff", false},
		{"a probe reinstates it", 3, "ffFp", false},
		{"on trial: one failure is enough", 3, "ffFpF", true},
		{"a success ends the trial", 3, "ffFpsff", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Standing
			for i, step := range tc.steps {
				switch step {
				case 'f', 'F':
					out := s.Failed(tc.after, CauseFailing)
					if out != (step == 'F') {
						t.Errorf("step %d of %s: enough is %v", i+1, tc.steps, out)
					}
					if out {
						s.Eject(0)
					}
				case 's':
					s.Answered()
				case 'p':
					s.Try()
				}
			}
			if s.Out() != tc.out {
				t.Errorf("ejected is %v, want %v", s.Out(), tc.out)
			}
		})
	}
}

// The wait before the first probe doubles with every ejection since the last answer, up to 64
// times. The first time, a replica that hangs or breaks connections is probed at once. The time
// until the unconditional trial doubles likewise.
func TestStandingBackoff(t *testing.T) {
	for _, cause := range []Cause{CauseFailing, CauseHung, CauseBroken} {
		var s Standing
		for n := range 10 {
			s.Failed(1, cause)
			s.Eject(time.Hour)
			want := min(time.Second<<n, 64*time.Second)
			if got := s.TrialAt(time.Second); got != time.Hour+20*want {
				t.Errorf("cause %d, ejection %d: trial at %v, want %v", cause, n+1, got, time.Hour+20*want)
			}
			if cause != CauseFailing && n == 0 {
				want = 0
			}
			if got := s.Backoff(time.Second); got != want {
				t.Errorf("cause %d, ejection %d: %v before a probe, want %v", cause, n+1, got, want)
			}
			s.Try()
		}
		s.Answered()
		s.Failed(1, CauseFailing)
		s.Eject(0)
		if got := s.Backoff(time.Second); got != time.Second {
			t.Errorf("after an answer: %v before a probe, want 1s", got)
		}
	}
}

// However long the time between probes and however many the ejections, no delay overflows.
func TestStandingBackoffDoesNotOverflow(t *testing.T) {
	for _, probe := range []time.Duration{365 * 24 * time.Hour, math.MaxInt64} {
		var s Standing
		backoff, trial := time.Duration(0), time.Duration(0)
		for n := range 10 {
			s.Failed(1, CauseFailing)
			s.Eject(time.Hour)
			b, at := s.Backoff(probe), s.TrialAt(probe)
			if b < max(backoff, min(probe, 100*365*24*time.Hour)) || at < max(trial, b) {
				t.Errorf("probe %v, ejection %d: %v before a probe, and a trial at %v", probe, n+1, b, at)
			}
			backoff, trial = b, at
			s.Try()
		}
	}
}

// While no more replicas may be ejected, failures are kept.
func TestStandingWaitsForItsTurn(t *testing.T) {
	var s Standing
	for n := range 5 {
		if enough := s.Failed(3, CauseFailing); enough != (n >= 2) {
			t.Errorf("after %d failures enough is %v", n+1, enough)
		}
	}
	if s.Out() {
		t.Error("ejected by itself")
	}
}

func TestMayEject(t *testing.T) {
	for _, tc := range []struct {
		out, n int
		share  float64
		want   bool
	}{
		{0, 1, 1, false}, {0, 2, 0.5, true}, {1, 2, 0.5, false}, {0, 3, 0.5, true}, {1, 3, 0.5, false}, {1, 4, 0.5, true}, {2, 4, 0.5, false},
		{0, 10, 0, true}, {1, 10, 0, false}, {9, 10, 1, true}, {1, 3, 2.0 / 3, true}, {2, 3, 2.0 / 3, false}, {5, 9, 2.0 / 3, true}, {6, 9, 2.0 / 3, false},
	} {
		if got := MayEject(tc.out, tc.n, tc.share); got != tc.want {
			t.Errorf("%d of %d ejected, share %v: may eject another is %v, want %v", tc.out, tc.n, tc.share, got, tc.want)
		}
	}
}
