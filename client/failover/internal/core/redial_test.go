package core_test

import (
	"testing"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

var usualRedial = core.Redial{Every: 25 * ms, PerSecond: 100}

const (
	ms     = time.Millisecond
	middle = 1 << 63 // dice without jitter
)

// near fails the test unless two times are within a fifth of the gap.
func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if (got - want).Abs() > want/5+time.Microsecond {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// vainly dials a replica for so long without success, and returns the last gap.
func vainly(d *core.Dialing, r core.Redial, down int, wanted, lasting bool, from, long time.Duration) (gap time.Duration, dials int) {
	for now := from; now < from+long; dials++ {
		d.Begin(now, wanted, middle)
		d.Failed(now, lasting)
		next := d.Due(r, down, wanted)
		gap, now = next-now, next
	}
	return gap, dials
}

// While calls want a replica, the gaps stay short during usual outages, and grow in longer ones.
// Many replicas that are down share the dials.
func TestGapsWhileCallsWant(t *testing.T) {
	for _, tc := range []struct {
		name string
		down int
		away time.Duration
		want time.Duration
	}{
		{"just now", 1, 0 + ms, 25 * ms},
		{"a minute", 1, time.Minute, 25 * ms},
		{"a day", 1, 24 * time.Hour, 5 * time.Second},
		{"three", 3, time.Minute, 30 * ms},
		{"three hundred", 300, time.Minute, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gap, _ := vainly(new(core.Dialing), usualRedial, tc.down, true, false, 0, tc.away)
			near(t, "the last gap", gap, tc.want)
		})
	}
}

func TestGapsGrow(t *testing.T) {
	for _, tc := range []struct {
		name            string
		wanted, lasting bool
		most            time.Duration
	}{
		{"for a lasting reason", true, true, 30 * time.Second},
		{"while no call wants it", false, false, 2 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, dials := vainly(new(core.Dialing), usualRedial, 1, tc.wanted, tc.lasting, 0, 10*time.Second)
			if dials < 4 || dials > 6 {
				t.Errorf("%d dials in 10s, want gRPC's 5", dials)
			}
			gap, _ := vainly(new(core.Dialing), usualRedial, 1, tc.wanted, tc.lasting, 0, time.Hour)
			near(t, "the gap after an hour", gap, tc.most)
		})
	}
}

// A call ends the long gaps of a silence, and a connection resets everything.
func TestGapsAreForgotten(t *testing.T) {
	var d core.Dialing
	if due := d.Due(usualRedial, 1, false); due != 0 {
		t.Errorf("the first dial is due at %v, want at once", due)
	}
	vainly(&d, usualRedial, 1, false, false, 0, time.Hour)
	d.Begin(time.Hour, false, middle)
	d.Failed(time.Hour, false)
	near(t, "a call's wish", d.Due(usualRedial, 1, true)-time.Hour, 25*ms)
	vainly(&d, usualRedial, 1, true, true, time.Hour, time.Hour)
	d.Begin(3*time.Hour, true, middle)
	d.Connected()
	near(t, "after a connection", d.Due(usualRedial, 1, true)-3*time.Hour, 25*ms)
	near(t, "after a connection, in silence", d.Due(usualRedial, 1, false)-3*time.Hour, time.Second)
}

// A lost connection is followed by a dial at once, however long the gaps between dials that fail.
// But a replica that breaks every connection is not dialed in a tight loop.
func TestDialAfterALoss(t *testing.T) {
	for _, tc := range []struct{ every, gap time.Duration }{
		{25 * ms, 25 * ms}, {time.Second, time.Second}, {time.Hour, time.Second}, {365 * 24 * time.Hour, time.Second},
	} {
		r := usualRedial
		r.Every = tc.every
		var d core.Dialing
		d.Begin(time.Minute, true, middle)
		d.Connected()
		near(t, "after a loss", d.Due(r, 1, true)-time.Minute, tc.gap)
		d.Begin(2*time.Minute, true, middle)
		d.Failed(2*time.Minute, false)
		near(t, "after a failure", d.Due(r, 1, true)-2*time.Minute, tc.every)
	}
}

// A dial that fails slowly is not followed by another at once.
func TestGapsCountFromTheEnd(t *testing.T) {
	var d core.Dialing
	d.Begin(time.Second, true, middle)
	d.Failed(2*time.Second, false)
	near(t, "due", d.Due(usualRedial, 1, true)-2*time.Second, 25*ms)
}

// In no second are there more dials than the budget allows, and the budget is used up if there are
// many requests.
func TestDialBudget(t *testing.T) {
	const most = 10
	b := core.NewDialBudget(most)
	var granted []time.Duration
	for now := time.Duration(0); now < 10*time.Second; {
		ok, again := b.Take(now, 1)
		if ok {
			granted = append(granted, now)
			now += 7 * ms
			continue
		}
		if again <= now {
			t.Fatalf("at %v: ask again at %v", now, again)
		}
		now = again
	}
	for i := most; i < len(granted); i++ {
		if gap := granted[i] - granted[i-most]; gap < time.Second {
			t.Fatalf("%d dials in %v", most+1, gap)
		}
	}
	if len(granted) != 100 {
		t.Errorf("%d dials in 10s, want 100", len(granted))
	}
	if ok, again := b.Take(10*time.Second, 3); ok || again > 11*time.Second {
		t.Errorf("three at once: %v, again at %v", ok, again)
	}
	b.Give(3)
	if ok, _ := b.Take(10*time.Second, 3); !ok {
		t.Error("dials that were given back are missing")
	}
	if ok, _ := core.NewDialBudget(1).Take(0, 5); !ok {
		t.Error("a replica with more addresses than the budget can never be dialed")
	}
}

func TestThrottle(t *testing.T) {
	c := core.Throttle{Gap: time.Second}
	for _, step := range []struct {
		at   time.Duration
		do   bool
		wait time.Duration
	}{
		{0, true, 0}, {1 * ms, false, 999 * ms}, {2 * ms, false, 0},
	} {
		if do, wait := c.Request(step.at); do != step.do || wait != step.wait {
			t.Errorf("at %v: %v, wait %v, want %v, %v", step.at, do, wait, step.do, step.wait)
		}
	}
	c.Done(time.Second)
	if do, wait := c.Request(1500 * ms); do || wait != 500*ms {
		t.Errorf("after the later one: %v, wait %v, want to wait 500ms", do, wait)
	}
}
