package supervisor

import (
	"testing"
	"time"
)

func FuzzProbe(f *testing.F) {
	f.Add(1, int64(time.Second), int64(time.Second), 3, true)
	f.Fuzz(func(t *testing.T, kind int, period, timeout int64, threshold int, alive bool) {
		p := Probe{Kind: ProbeKind(kind), Period: time.Duration(period), Timeout: time.Duration(timeout), Threshold: threshold}
		if p.check("a:1", alive, true) != nil {
			return
		}
		usual := readyPeriod
		if alive {
			usual = alivePeriod
		}
		got := p.withDefaults(usual)
		if got.Period < LeastPeriod || got.Timeout <= 0 || got.Threshold < 1 || alive && got.Timeout > got.Period {
			t.Errorf("%+v comes to %+v", p, got)
		}
	})
}
