package trials

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

// Progress is reported five times a second and when a trial ends, with an estimate of the rest.
func TestProgressReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgress("", 4)
		var reports []Progress
		stop := p.report(func(now Progress) { reports = append(reports, now) })
		d := &design.Design{Seed: 1, Repeats: 4, Parallel: 1, Cells: []design.Cell{{Settings: design.Defaults()}}}
		for _, trial := range d.Trials()[:2] {
			watch := p.watch(trial)
			watch.Begin(func() []bool { return []bool{true} })
			watch.Call(workload.Record{Duration: time.Second, Reply: workload.Reply{Attempts: []failover.Attempt{{Sent: true}, {}}}})
			watch.Call(workload.Record{Err: errors.New("failed")})
			watch.Call(workload.Record{Err: context.Canceled, Interrupted: true})
		}
		time.Sleep(10*time.Second + reportPeriod/2)
		synctest.Wait()
		want := TrialProgress{Trial: d.Trials()[0], Succeeded: 1, Failed: 1, Sent: 1, P99: time.Second, Up: []bool{true}}
		if now := reports[len(reports)-1]; len(reports) != 51 || len(now.Running) != 2 || !reflect.DeepEqual(now.Running[0], want) || now.Left != 0 {
			t.Errorf("%d reports in 10 s, the last %+v; want 51, with two running trials like %+v", len(reports), now, want)
		}
		p.end(d.Trials()[0])
		synctest.Wait()
		now := reports[len(reports)-1]
		if len(reports) != 52 || now.Ended != 1 || len(now.Running) != 1 || now.Left != 3*(10*time.Second+reportPeriod/2) {
			t.Errorf("after the first trial: %d reports, the last %+v", len(reports), now)
		}
		stop()
		if len(reports) != 53 {
			t.Errorf("%d reports after stop, want 53: one more at the end", len(reports))
		}
	})
}
