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

// Progress is told several times a second and when a trial ends, with an estimate of the rest.
func TestProgressInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgress("", 4)
		var told []Progress
		stop := p.tell(func(now Progress) { told = append(told, now) })
		d := &design.Design{Seed: 1, Repeats: 4, Parallel: 1, Cells: []design.Cell{{Settings: design.Defaults()}}}
		for _, trial := range d.Trials()[:2] {
			watch := p.watch(trial)
			watch.Begin(func() []bool { return []bool{true} })
			watch.Call(workload.Record{Duration: time.Second, Reply: workload.Reply{Attempts: []failover.Attempt{{Sent: true}, {}}}})
			watch.Call(workload.Record{Err: errors.New("failed")})
			watch.Call(workload.Record{Err: context.Canceled, Interrupted: true})
		}
		time.Sleep(10*time.Second + tellPeriod/2)
		synctest.Wait()
		want := TrialProgress{Trial: d.Trials()[0], Succeeded: 1, Failed: 1, Sent: 1, P99: time.Second, Up: []bool{true}}
		if now := told[len(told)-1]; len(told) != 51 || len(now.Running) != 2 || !reflect.DeepEqual(now.Running[0], want) || now.Left != 0 {
			t.Errorf("told %d times in 10 s, at last %+v; want 51 times, with two of %+v", len(told), now, want)
		}
		p.end(d.Trials()[0])
		synctest.Wait()
		now := told[len(told)-1]
		if len(told) != 52 || now.Ended != 1 || len(now.Running) != 1 || now.Left != 3*(10*time.Second+tellPeriod/2) {
			t.Errorf("after the first trial's end %+v", now)
		}
		stop()
		if len(told) != 53 {
			t.Errorf("told %d times, want once more at the end", len(told))
		}
	})
}
