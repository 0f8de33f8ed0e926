package lab

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	var last Progress
	l := Lab{Counterd: counterd, Runs: t.TempDir(), OnProgress: func(p Progress) {
		if p.Ended < last.Ended || len(p.Running) > 2 {
			t.Errorf("%d trials had ended, now %d, and %d run", last.Ended, p.Ended, len(p.Running))
		}
		last = p
	}}
	dir, err := l.Run(t.Context(), load(t, "repeats: 4\nparallel: 2\nfactors: {calls: 5}"))
	if err != nil {
		t.Fatal(err)
	}
	if last.Ended != 4 || last.Trials != 4 || len(last.Running) != 0 || last.Dir != dir || last.Left != 0 {
		t.Errorf("at last %+v", last)
	}
}

// Progress is told several times a second and when a trial ends, with an estimate of the rest.
func TestProgressInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgress("", 4)
		var told []Progress
		stop := p.tell(func(now Progress) { told = append(told, now) })
		d := load(t, "repeats: 4")
		for _, trial := range d.Trials()[:2] {
			p.begin(trial, &cluster{addrs: []string{"x:1"}, ready: map[string]bool{"a": true}})
			p.call(trial, workload.Record{Duration: time.Second, Reply: workload.Reply{Attempts: []failover.Attempt{{Sent: true}, {}}}})
			p.call(trial, workload.Record{Err: errors.New("failed")})
			p.call(trial, workload.Record{Err: context.Canceled, Interrupted: true})
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
