package experiment

import (
	"fmt"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/client/workload"
)

// Verdict is the outcome of an experiment or of one claim. The worst one of all counts.
type Verdict int

const (
	VerdictHeld         Verdict = iota // the interval lies on the right side of the threshold
	VerdictInconclusive                // the interval spans the threshold, or there is none to be believed
	VerdictFailed                      // the interval lies on the wrong side, or a check was violated
)

var verdictNames = [...]string{VerdictHeld: "held", VerdictInconclusive: "inconclusive", VerdictFailed: "failed"}

// String returns the verdict's name, in lower case.
func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return verdictNames[v]
}

// MarshalText returns the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// judgeAll returns how each claim stands in each cell that it is about.
func judgeAll(claims []design.Claim, cells []CellSummary) []ClaimResult {
	var results []ClaimResult
	for _, claim := range claims {
		for i, cell := range cells {
			if !claim.Matches(cell.Cell) {
				continue
			}
			r := ClaimResult{Claim: claim, Cell: i, Interval: cell.Metrics[claim.Metric]}
			r.Verdict, r.Reason = judge(claim, cell)
			results = append(results, r)
		}
	}
	return results
}

func judge(claim design.Claim, cell CellSummary) (Verdict, string) {
	interval, known := cell.Metrics[claim.Metric]
	switch verdict := side(claim, interval); {
	case cell.Late > 0:
		return VerdictInconclusive, fmt.Sprintf("%d of %d trials: the load was generated too late", cell.Late, len(cell.Trials))
	case !known:
		return VerdictInconclusive, fmt.Sprintf("no trial has a value of %s", claim.Metric)
	case interval.N == 1 && hopeless(claim, interval):
		return VerdictFailed, ""
	case interval.N == 1 && verdict == VerdictInconclusive:
		return VerdictInconclusive, "one trial only: how much trials differ is unknown"
	case verdict == VerdictInconclusive && !interval.Bounded():
		return VerdictInconclusive, interval.Warnings[0]
	case verdict == VerdictInconclusive:
		return VerdictInconclusive, "the interval spans the threshold"
	default:
		return verdict, ""
	}
}

// side returns on which side of the claim's threshold the interval lies.
func side(claim design.Claim, i stats.Interval) Verdict {
	right, wrong := i.Low >= claim.Threshold, i.High < claim.Threshold
	if !claim.AtLeast {
		right, wrong = i.High <= claim.Threshold, i.Low > claim.Threshold
	}
	switch {
	case right:
		return VerdictHeld
	case wrong:
		return VerdictFailed
	}
	return VerdictInconclusive
}

// hopeless reports whether even a single trial refutes the claim: that calls succeed, when none
// did.
func hopeless(claim design.Claim, i stats.Interval) bool {
	return claim.AtLeast && claim.Threshold > 0 && i.Estimate == 0 && higherIsBetter(claim.Metric)
}

// overall returns the worst verdict of all. A load that was generated too late makes a run without
// claims inconclusive, too.
func overall(claims []ClaimResult, cells []CellSummary) Verdict {
	worst := VerdictHeld
	for _, c := range claims {
		worst = max(worst, c.Verdict)
	}
	for _, cell := range cells {
		if cell.Late > 0 {
			worst = max(worst, VerdictInconclusive)
		}
		for _, t := range cell.Trials {
			if len(t.Violations) > 0 {
				worst = VerdictFailed
			}
		}
	}
	return worst
}

// late reports whether the load of a trial was not the one that was planned. Neither number has the
// warm-up in it.
func late(t record.TrialRecords) bool {
	calls := 0
	for _, c := range t.Calls {
		if !c.Warmup {
			calls++
		}
	}
	return !workload.Pace{Late: t.Late}.Kept(calls)
}
