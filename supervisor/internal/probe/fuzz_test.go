package probe

import (
	"testing"
	"time"

	"example.com/crashlab/supervisor/spec"
)

func FuzzProbe(f *testing.F) {
	f.Add(1, int64(time.Second), int64(time.Second), 3, true)
	f.Fuzz(func(t *testing.T, kind int, period, timeout int64, threshold int, alive bool) {
		p := spec.Probe{Kind: spec.ProbeKind(kind), Period: time.Duration(period), Timeout: time.Duration(timeout), Threshold: threshold}
		if Check(p, "a:1", alive, true) != nil {
			return
		}
		got := WithDefaults(p, alive)
		if got.Period < spec.MinPeriod || got.Timeout <= 0 || got.Threshold < 1 || alive && got.Timeout > got.Period {
			t.Errorf("%+v comes to %+v", p, got)
		}
	})
}
