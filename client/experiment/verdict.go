package experiment

import (
	"fmt"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/client/workload"
)

// Verdict is the outcome of a claim or of a whole experiment. Greater values are worse.
type Verdict int

const (
	VerdictHeld         Verdict = iota // the interval lies on the right side of the threshold
	VerdictInconclusive                // the interval spans the threshold, or is missing or unreliable
	VerdictFailed                      // the interval lies on the wrong side, or a check failed
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

// judgeAll judges each claim in each cell that it applies to.
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

// hopeless reports whether a single trial is enough to refute the claim: it says that calls
// succeed, and none did.
func hopeless(claim design.Claim, i stats.Interval) bool {
	return claim.AtLeast && claim.Threshold > 0 && i.Estimate == 0 && higherIsBetter(claim.Metric)
}

// overall returns the worst verdict. A load that was generated too late makes a run inconclusive
// even if no claim applies to its cell.
func overall(claims []ClaimResult, cells []CellSummary) Verdict {
	worst := VerdictHeld
	for _, c := range claims {
		worst = max(worst, c.Verdict)
	}
	for _, cell := range cells {
		if cell.Late > 0 {
			worst = max(worst, VerdictInconclusive)
		}
	}
	if violated(cells) {
		return VerdictFailed
	}
	return worst
}

// late reports whether the load of a trial departed from its plan. The warm-up does not count.
func late(t record.TrialRecords) bool {
	calls := 0
	for _, c := range t.Calls {
		if !c.Warmup {
			calls++
		}
	}
	return !workload.Pace{Late: t.Late}.Kept(calls)
}
