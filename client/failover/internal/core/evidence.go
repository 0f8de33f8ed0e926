package core

import (
	"math"
	"time"
)

// cutOff is an attempt that a deadline cut off, with what other replicas have done since.
type cutOff struct {
	method    *Latency // identifies the method, and has the durations of its recent attempts
	waited    time.Duration
	elsewhere Sample
	compared  bool // other replicas have been compared with it
}

// Sample counts attempts by whether they took longer than a given time.
type Sample struct {
	Sooner, Later int
	Longest       time.Duration // of those that took no longer
}

const (
	// nearly is the fraction of a wait that another wait must have lasted to count as equally long,
	// since deadlines are never exactly equal.
	nearly = 7.0 / 8
	// grain is the shortest meaningful duration. Shorter ones depend on schedulers and networks.
	grain = time.Millisecond
)

// against returns how strongly it speaks against a replica that an attempt there took longer than
// waited, given the attempts of the sample: the logarithm of the odds against that if the replica
// were like the others. The odds come from Laplace's rule of succession. Beyond the longest attempt
// of the sample they grow in proportion to the wait, as in the tail of a Pareto distribution of
// index 1, which is heavier than that of any distribution with a mean. The result is zero if no
// attempt was sooner.
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

// failureWeight is the weight of a failure: that of an attempt that takes longer than 99 of 100.
var failureWeight = math.Log(100)

// compare records that an attempt of the method at another replica was answered or, if answered is
// false, cut off after took.
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

// weighCutOffs returns the weight of cut-off attempts, in failures. Each is compared with what
// other replicas have done since, which is fair if all have become slower, and with recent attempts
// of the method, which include rare slow ones; the lower weight counts.
func weighCutOffs(cut []cutOff) float64 {
	sum := 0.0
	for _, x := range cut {
		sum += min(x.elsewhere.against(x.waited), x.method.Sample(x.waited).against(x.waited))
	}
	return sum / failureWeight
}
