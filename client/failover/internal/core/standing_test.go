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
					if out := s.Failed(0, tc.after, Failing, true); out != (step == 'F') {
						t.Errorf("step %d of %s: to be left out is %v", i+1, tc.steps, out)
					}
				case 's':
					s.Answered()
				case 'p':
					s.Try()
				}
			}
			if s.Out() != tc.out {
				t.Errorf("left out is %v, want %v", s.Out(), tc.out)
			}
		})
	}
}

// The wait before the first probe doubles with every time that the replica was left out and has not answered since, up to 64
// times; one that hangs, or hangs up, is asked at once the first time. So does the time until it is tried whatever the probes say.
func TestStandingBackoff(t *testing.T) {
	for _, cause := range []Cause{Failing, Hung, HungUp} {
		var s Standing
		for n := range 10 {
			s.Failed(time.Hour, 1, cause, true)
			want := min(time.Second<<n, 64*time.Second)
			if got := s.TrialAt(time.Second); got != time.Hour+20*want {
				t.Errorf("cause %d, left out for the %d. time: tried at %v, want %v", cause, n+1, got, time.Hour+20*want)
			}
			if cause != Failing && n == 0 {
				want = 0
			}
			if got := s.Backoff(time.Second); got != want {
				t.Errorf("cause %d, left out for the %d. time: %v before a probe, want %v", cause, n+1, got, want)
			}
			s.Try()
		}
		s.Answered()
		s.Failed(0, 1, Failing, true)
		if got := s.Backoff(time.Second); got != time.Second {
			t.Errorf("after an answer: %v before a probe, want 1s", got)
		}
	}
}

// Where no more may be left out, failures are remembered until one may.
func TestStandingWaitsForItsTurn(t *testing.T) {
	var s Standing
	for range 5 {
		if s.Failed(0, 3, Failing, false) {
			t.Fatal("left out, though it may not be")
		}
	}
	if !s.Failed(0, 3, Failing, true) {
		t.Error("not left out")
	}
}

// Attempts that callers cut off count beside another replica that was quicker than they waited.
func TestStandingBesideOthers(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name        string
		after       int
		waited      []time.Duration // attempts in a row, each of which begins when the one before it ends, from 0 on
		start, took time.Duration   // of another replica's answer
		doubted     bool
		out         bool
	}{
		{"three, and another answers sooner", 3, []time.Duration{300 * ms, 300 * ms, 300 * ms}, 900 * ms, 10 * ms, true, true},
		{"one, where that is enough", 1, []time.Duration{300 * ms}, 300 * ms, 10 * ms, true, true},
		{"two are not enough", 3, []time.Duration{300 * ms, 300 * ms}, 600 * ms, 10 * ms, false, false},
		{"the other is no quicker", 3, []time.Duration{300 * ms, 300 * ms, 300 * ms}, 900 * ms, 400 * ms, true, false},
		{"the longest wait is what counts", 3, []time.Duration{50 * ms, 500 * ms, 50 * ms}, 900 * ms, 400 * ms, true, true},
		{"the other's answer is older", 3, []time.Duration{300 * ms, 300 * ms, 300 * ms}, -10 * ms, 5 * ms, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Standing
			now := time.Duration(0)
			for _, d := range tc.waited {
				s.Unanswered(now, now+d)
				now += d
			}
			if until := s.Doubted(tc.after, time.Second); (until > now) != tc.doubted {
				t.Errorf("in doubt until %v at %v, want %v", until, now, tc.doubted)
			}
			if got := s.Outdone(now, tc.after, tc.start, tc.took, false); got || s.Out() {
				t.Error("left out, though it may not be")
			}
			if got := s.Outdone(now, tc.after, tc.start, tc.took, true); got != tc.out || s.Out() != tc.out {
				t.Errorf("left out is %v, want %v", got, tc.out)
			}
			s.Answered()
			if s.Outdone(now, 1, now, 0, true) || s.Doubted(1, time.Hour) != 0 {
				t.Error("an answer has not cleared it")
			}
		})
	}
}

func TestMayLeaveOut(t *testing.T) {
	for _, tc := range []struct {
		out, n int
		share  float64
		want   bool
	}{
		{0, 1, 1, false}, {0, 2, 0.5, true}, {1, 2, 0.5, false}, {0, 3, 0.5, true}, {1, 3, 0.5, false}, {1, 4, 0.5, true}, {2, 4, 0.5, false},
		{0, 10, 0, true}, {1, 10, 0, false}, {9, 10, 1, true},
	} {
		if got := MayLeaveOut(tc.out, tc.n, tc.share); got != tc.want {
			t.Errorf("%d of %d are left out, with a share of %v: another may be is %v, want %v", tc.out, tc.n, tc.share, got, tc.want)
		}
	}
}

func TestStuck(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		waiting      int
		first, usual time.Duration
		want         bool
	}{
		{3, 51 * ms, 0, true}, {3, 50 * ms, 0, false}, {2, time.Hour, 0, false}, {3, 300 * ms, 100 * ms, false}, {3, 301 * ms, 100 * ms, true},
	} {
		if got := Stuck(tc.waiting, 3, tc.first, tc.usual); got != tc.want {
			t.Errorf("%d attempts that wait, the first for %v, where %v is usual: %v, want %v", tc.waiting, tc.first, tc.usual, got, tc.want)
		}
	}
}
