package experiment

import (
	"fmt"
	"strings"

	"example.com/crashlab/client/experiment/record"
)

// Answer is what a run says to the question of its design.
type Answer struct {
	// Question is the design's. It may be empty.
	Question string `json:"question,omitempty"`
	// Text is the design's answer. It is empty if the design states none, or if the trials do not
	// support it.
	Text string `json:"text,omitempty"`
	// Unsupported says why the trials do not support the design's answer, in one sentence. It is
	// empty if they do, or if the design states none.
	Unsupported string `json:"unsupported,omitempty"`
}

// answer returns the design's answer if all of its claims hold and no check was violated.
func answer(run *record.Run, claims []ClaimResult, cells []CellSummary) Answer {
	d := run.Manifest.Design
	a := Answer{Question: d.Question}
	switch against := objections(claims, cells); {
	case d.Answer == "":
	case len(claims) == 0:
		a.Unsupported = "No claim supports the answer that the design expects."
	case run.Manifest.Shard != "" && len(Missing(run)) > 0:
		a.Unsupported = "One share of the trials alone does not answer it; merge the shares."
	case len(against) > 0:
		a.Unsupported = "The trials do not support the answer that the design expects: " + strings.Join(against, "; ") + "."
	default:
		a.Text = d.Answer
	}
	return a
}

// objections lists the claims that do not hold, or the first few of many, and violated checks.
func objections(claims []ClaimResult, cells []CellSummary) []string {
	const most = 3
	var against []string
	for _, c := range claims {
		switch c.Verdict {
		case VerdictFailed:
			against = append(against, fmt.Sprintf("%s failed (%s)", c.Claim.Text, cells[c.Cell].Cell.Title()))
		case VerdictInconclusive:
			against = append(against, fmt.Sprintf("%s is inconclusive (%s)", c.Claim.Text, cells[c.Cell].Cell.Title()))
		}
	}
	if more := len(against) - most; more > 1 {
		against = append(against[:most], fmt.Sprintf("%d more claims do not hold", more))
	}
	if violated(cells) {
		against = append(against, "a check of the records failed")
	}
	return against
}

// violated reports whether a check of the records failed.
func violated(cells []CellSummary) bool {
	for _, c := range cells {
		for _, t := range c.Trials {
			if len(t.Violations) > 0 {
				return true
			}
		}
	}
	return false
}
