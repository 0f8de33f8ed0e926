package report

import (
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

func TestAgreements(t *testing.T) {
	of := func(cell string, m design.Metric, measured, predicted, allowed float64) experiment.Agreement {
		return experiment.Agreement{Cell: cell, Metric: m, Measured: stats.Interval{Estimate: measured, N: 3}, Predicted: stats.Interval{Estimate: predicted, N: 3}, Allowed: allowed}
	}
	all := []experiment.Agreement{
		of("one", design.Success, 0.5, 0.52, 0.03), of("one", design.P99, 2, 2.3, 0.4),
		of("other", design.Success, 0.5, 0.58, 0.05), of("other", design.Attempts, 2, 1.8, 0.1),
	}
	var b strings.Builder
	if err := Agreements(&b, "table", all); err != nil {
		t.Fatal(err)
	}
	want := `       success,  sent per call,       p50,            p99,
cell  predicted       predicted  predicted       predicted  agree
one    50.0%, 52.0%             –          –  2.00 s, 2.30 s  yes
other  50.0%, 58.0%    2.00, 1.80          –               –   no¹,²

¹ success +8.0 points, allowed ±5.0
² attempts -10.0%, allowed ±5.0
`
	if got := b.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := Agreements(&b, "md", all); err != nil || strings.Count(b.String(), "\n|") < 3 {
		t.Errorf("%v\n%s", err, b.String())
	}
	if err := Agreements(&b, "yaml", all); err == nil || err.Error() != `format "yaml": want table or md` {
		t.Errorf("got %v", err)
	}
}
