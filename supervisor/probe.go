package supervisor

import (
	"context"
	"fmt"
	"net"
	"time"
)

// verdict is what a replica's answers come to.
type verdict struct {
	err  error // nil: it is ready
	dead bool
}

// question is what an incarnation is asked.
type question struct {
	Probe
	addr   string
	health func(ctx context.Context, addr, service string) error
	tell   chan<- verdict
}

// ask has the incarnation asked until endProbes is called, in a goroutine of
// its own, so that nothing waits for an answer.
func (u *unit) ask(p Probe, until func(context.Context, question)) {
	ctx, cancel := context.WithCancel(context.Background())
	verdicts := make(chan verdict)
	u.endProbes = func() { cancel(); u.verdicts = nil }
	u.verdicts = verdicts
	q := question{Probe: p, addr: u.as.Addr, health: u.health, tell: verdicts}
	u.probes.Go(func() { until(ctx, q) })
}

// judge takes note of a verdict.
func (u *unit) judge(v verdict) {
	switch {
	case v.dead:
		u.unhealthy(v.err)
	case v.err != nil:
		u.unready = v.err
	default:
		u.becomeReady()
	}
}

// untilReady asks until the answer is good, first at a quick pace.
func untilReady(ctx context.Context, q question) {
	for pause := firstPause; ctx.Err() == nil; pause = min(pause*3/2, q.Period) {
		err := q.ask(ctx)
		q.say(ctx, verdict{err: err})
		if err == nil {
			return
		}
		sleep(ctx, pause)
	}
}

// untilDead asks once a period until Threshold answers in a row were bad. The
// questions that a pause of ours made late are left out, not asked all at once.
//
// Replicas with the same period are asked at the same moments: to be woken for
// each of many costs several times what asking does. That holds for as long as
// they live only if the moments are the clock's, not each one's last.
func untilDead(ctx context.Context, q question) {
	next := time.Now()
	next = next.Add(q.Period - time.Duration(next.UnixNano())%q.Period)
	for failed := 0; ; {
		if sleep(ctx, time.Until(next)); ctx.Err() != nil {
			return
		}
		next = next.Add(q.Period + time.Since(next).Truncate(q.Period))
		err := q.ask(ctx)
		if failed++; err == nil {
			failed = 0
		}
		if failed == q.Threshold {
			err = fmt.Errorf("not alive, asked %d times in %v: %w", failed, time.Duration(failed)*q.Period, err)
			q.say(ctx, verdict{err: err, dead: true})
			return
		}
	}
}

func (q question) say(ctx context.Context, v verdict) {
	select {
	case q.tell <- v:
	case <-ctx.Done():
	}
}

// ask asks once.
func (q question) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	if q.Kind == ProbeGRPC {
		return q.health(ctx, q.addr, q.Service)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", q.addr)
	if err == nil {
		conn.Close()
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
