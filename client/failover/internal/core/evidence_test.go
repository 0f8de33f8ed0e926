package core

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// learned returns the latency of a method after attempts with the given durations.
func learned(all ...time.Duration) *Latency {
	l := new(Latency)
	for _, d := range all {
		l.Add(d)
	}
	return l
}

// times returns n equal durations.
func times(n int, d time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = d
	}
	return all
}

// After attempts were cut off, other replicas answer, or are slow too. How many of their attempts
// does an ejection take?
func TestStandingBesideOthers(t *testing.T) {
	all := func(n int, d time.Duration) func(int) (time.Duration, bool) {
		return func(i int) (time.Duration, bool) { return d, i < n }
	}
	for _, tc := range []struct {
		name   string
		after  int
		waited []time.Duration
		lately []time.Duration                 // earlier attempts of the method
		others func(int) (time.Duration, bool) // durations of the others' attempts afterwards; false: no more
		want   int                             // how many of them until the ejection; 0: never
	}{
		{"three, and others are quick", 3, times(3, 300*ms), nil, all(10, ms), 1},
		{"one, where that is enough", 1, times(1, 300*ms), nil, all(10, ms), 1},
		{"two are not enough", 3, times(2, 300*ms), nil, all(500, ms), 0},
		{"others are not much quicker", 3, times(3, 300*ms), nil, all(200, 250*ms), 88},
		{"more that were cut off", 3, times(6, 300*ms), nil, all(200, 250*ms), 7},
		{"others are slower", 3, times(8, 300*ms), nil, all(500, 400*ms), 0},
		{"it has always been quick", 3, times(3, 300*ms), times(1000, ms), all(10, ms), 1},
		{"but others are slow now", 3, times(3, 300*ms), times(1000, ms), all(500, 400*ms), 0},
		{"one in ten has always been slow", 3, times(3, 300*ms), append(times(900, ms), times(100, 400*ms)...), all(100, ms), 0},
		{"seven in a row then", 3, times(7, 300*ms), append(times(900, ms), times(100, 400*ms)...), all(100, ms), 1},
		{"twelve in a row", 3, times(12, 300*ms), nil, all(200, 250*ms), 1},
		{"the waits differ", 3, []time.Duration{ms, 2 * ms, 300 * ms}, nil, all(20, 50*ms), 0},
		{"half of the others' are slow", 3, times(8, 300*ms), nil, func(i int) (time.Duration, bool) {
			return []time.Duration{400 * ms, ms}[i%2], i < 500
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method := learned(tc.lately...)
			var s Standing
			for _, d := range tc.waited {
				if enough, _ := s.CutOff(tc.after, method, d); enough {
					t.Fatal("ejected before another has answered")
				}
			}
			if doubt := s.Doubt(tc.after); doubt != len(tc.waited)/tc.after {
				t.Errorf("doubt %d after %d", doubt, len(tc.waited))
			}
			n := 0
			for i := 0; n == 0; i++ {
				took, more := tc.others(i)
				if !more {
					break
				}
				method.Add(took)
				if s.Compare(tc.after, method, took, true) {
					n = i + 1
				}
			}
			if n != tc.want {
				t.Errorf("ejected after %d attempts of others, want %d", n, tc.want)
			}
		})
	}
}

// Attempts of another method are no comparison, nor are attempts that were cut off sooner.
func TestOnlyWhatIsAlikeIsCompared(t *testing.T) {
	slow, quick := learned(times(1000, ms)...), learned()
	var s Standing
	for range 3 {
		s.CutOff(3, slow, 300*ms)
	}
	for range 60 {
		quick.Add(ms)
		if s.Compare(3, quick, ms, true) || s.Compare(3, slow, 100*ms, false) {
			t.Fatal("ejected by attempts that are no comparison")
		}
	}
	for range 2 {
		if s.Compare(3, slow, 299*ms, false) {
			t.Fatal("ejected although others took as long")
		}
	}
	for n := 1; !s.Compare(3, slow, ms, true); n++ {
		if n == 1000 {
			t.Fatal("not ejected although a thousand were quick, and only two were not")
		}
	}
}

// A replica that is neither ejected nor cleared gets another call after a while, and is in doubt
// again at once if that is not answered. The time between such calls grows.
func TestReplicaInDoubtGetsAnotherCall(t *testing.T) {
	slow, other := learned(), learned()
	for name, nothing := range map[string]func(*Standing){
		"cut off": func(s *Standing) { s.CutOff(3, slow, 300*ms) },
		"failed":  func(s *Standing) { s.Failed(3, CauseFailing) },
	} {
		var s Standing
		for range 6 {
			nothing(&s)
		}
		if doubt := s.Doubt(3); doubt != 2 || !s.Suspect(3) {
			t.Errorf("%s: doubt %d after six", name, doubt)
		}
		for i := range 10 {
			want, n := answersToRetry<<min(i, 6), 0
			for ; s.Doubt(3) > 0; n++ {
				s.Compare(3, other, ms, true)
			}
			if n != want {
				t.Errorf("%s: another call after %d answers of others, want %d", name, n, want)
			}
			nothing(&s)
			if s.Doubt(3) != 1 {
				t.Errorf("%s: not in doubt again", name)
			}
		}
		s.Answered()
		if s.Doubt(3) != 0 || s.Suspect(3) {
			t.Errorf("%s: an answer does not clear it", name)
		}
	}
}

// An answer clears the replica, and earlier cut-off attempts count as slow. On trial, one cut-off
// attempt suffices for an ejection.
func TestAnswersAndTrials(t *testing.T) {
	method := learned(times(1000, ms)...)
	var s Standing
	for range 2 {
		s.CutOff(3, method, 300*ms)
	}
	if n := len(s.Answered()); n != 0 || s.Suspect(3) {
		t.Errorf("%d to be compared, want none, as they came before the doubt", n)
	}
	for range 5 {
		s.CutOff(3, method, 300*ms)
	}
	if n := len(s.Answered()); n != 3 || s.Suspect(3) {
		t.Errorf("%d to be compared, want the 3 made in doubt", n)
	}
	if got := method.Sample(200 * ms).Later; got != 7 {
		t.Errorf("%d were slow, want 7", got)
	}
	method = learned(times(1000, ms)...)
	s.Failed(1, CauseFailing)
	s.Eject(0)
	if s.Compare(3, method, ms, true) {
		t.Error("ejected twice")
	}
	s.Try()
	if s.CutOff(3, method, 300*ms); s.Doubt(3) != 1 {
		t.Error("on trial, a cut-off attempt raises no doubt")
	}
	if !s.Compare(3, method, ms, true) {
		t.Error("on trial, a cut-off attempt does not suffice")
	}
}
