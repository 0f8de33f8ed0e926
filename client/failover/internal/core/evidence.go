package core

import (
	"math"
	"time"
)

// cutOff is an attempt that ended with a deadline and without an answer, beside what other replicas
// have done since.
type cutOff struct {
	method    *Latency // which stands for the method, and knows what its attempts have taken lately
	waited    time.Duration
	elsewhere Sample
	told      bool // others have been compared with it
}

// Sample counts attempts by whether they took longer than a given time.
type Sample struct {
	Sooner, Later int
	Longest       time.Duration // of those that took no longer
}

const (
	// nearly is the share of a wait that another has to have lasted to be as long, since deadlines
	// are never quite alike.
	nearly = 7.0 / 8
	// grain is the resolution of measured times. Shorter ones depend on schedulers and networks.
	grain = time.Millisecond
)

// against is how much it speaks against a replica that an attempt there took longer than waited,
// beside the attempts of the sample: the logarithm of the odds against that, if the replica were
// like the others. The odds come from Laplace's rule of succession; beyond the longest that was
// seen, they grow as the wait does, which is the tail of a Pareto distribution of index 1, heavier
// than any with a mean. It is zero where no attempt was sooner.
func (s Sample) against(waited time.Duration) float64 {
	if s.Sooner <= 0 {
		return 0
	}
	odds := float64(s.Sooner+s.Later+2) / float64(s.Later+1)
	if s.Later == 0 {
		odds *= max(1, float64(waited)/float64(max(s.Longest, grain)))
	}
	return math.Log(odds)
}

// failureWeight is what a failure says against a replica: as much as an attempt that takes longer
// than 99 of 100.
var failureWeight = math.Log(100)

// compare records that an attempt of the method at another replica took so long, or was cut off
// after so long by its deadline.
func (x *cutOff) compare(method *Latency, took time.Duration, answered bool) {
	switch {
	case x.method != method:
	case answered && took <= x.waited:
		x.elsewhere.Sooner++
		x.elsewhere.Longest = max(x.elsewhere.Longest, took)
	case answered || float64(took) >= nearly*float64(x.waited):
		x.elsewhere.Later++
	}
}

// weighCutOffs returns what attempts that were cut off say against a replica, in failures. Each
// counts by what others have done since, which is fair where all have become slower, or by what
// attempts of the method have taken lately, which knows rare ones that take long: whichever says
// less.
func weighCutOffs(cut []cutOff) float64 {
	sum := 0.0
	for _, x := range cut {
		sum += min(x.elsewhere.against(x.waited), x.method.Sample(x.waited).against(x.waited))
	}
	return sum / failureWeight
}
