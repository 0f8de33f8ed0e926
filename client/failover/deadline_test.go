package failover_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// allowed records the time that each request has left when it reaches its replica.
type allowed struct {
	mu   sync.Mutex
	each []time.Duration
}

// by returns a handler that records it and calls another.
func (a *allowed) by(next func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		d, ok := ctx.Deadline()
		a.mu.Lock()
		if a.each = append(a.each, -1); ok {
			a.each[len(a.each)-1] = time.Until(d)
		}
		a.mu.Unlock()
		return next(ctx)
	}
}

// train makes enough calls for the client to learn the latency of the method, which is zero at
// healthy replicas.
func train(t *testing.T, conn *failover.Client) {
	t.Helper()
	for range 100 {
		if _, err := call(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
}

// If all replicas hang, the call goes on to the next when the share of the last is over, and no
// attempt is given up before the caller's deadline or Timeout.
func TestTimeIsDividedAmongTheReplicas(t *testing.T) {
	const ms = time.Millisecond
	no := map[string]bool{"/": false}
	for _, tc := range []struct {
		name     string
		policy   failover.Policy
		deadline time.Duration
		want     []time.Duration // deadline of each attempt
		took     time.Duration
		reason   failover.Reason
	}{
		{"evenly", failover.Policy{}, 3000 * ms, []time.Duration{3000 * ms, 2000 * ms, 1000 * ms}, 3000 * ms, failover.ReasonCallerEnded},
		{"under WhenDownWait as well", failover.Policy{WhenDown: failover.WhenDownWait}, 3000 * ms, []time.Duration{3000 * ms, 2000 * ms, 1000 * ms}, 3000 * ms, failover.ReasonCallerEnded},
		{"within Timeout", failover.Policy{Timeout: 400 * ms}, 3000 * ms, []time.Duration{400 * ms, 400 * ms, 400 * ms}, 1200 * ms, failover.ReasonRoundsSpent},
		{"Timeout is above the share", failover.Policy{Timeout: 2000 * ms}, 3000 * ms, []time.Duration{2000 * ms, 2000 * ms, 1000 * ms}, 3000 * ms, failover.ReasonCallerEnded},
		{"each round anew", failover.Policy{Timeout: 400 * ms, Rounds: 2}, 1500 * ms,
			[]time.Duration{400 * ms, 400 * ms, 400 * ms, 300 * ms, 200 * ms, 100 * ms}, 1500 * ms, failover.ReasonCallerEnded},
		{"no less than the least", failover.Policy{MinTimeout: 500 * ms}, 1200 * ms, []time.Duration{1200 * ms, 700 * ms}, 1200 * ms, failover.ReasonCallerEnded},
		{"the last gets what is left", failover.Policy{MinTimeout: 500 * ms}, 1000 * ms, []time.Duration{1000 * ms, 500 * ms}, 1000 * ms, failover.ReasonCallerEnded},
		{"less than the least", failover.Policy{MinTimeout: 500 * ms}, 499 * ms, nil, 0, failover.ReasonOutOfTime},
		{"just the least", failover.Policy{MinTimeout: 500 * ms}, 500 * ms, []time.Duration{500 * ms}, 500 * ms, failover.ReasonCallerEnded},
		{"not idempotent", failover.Policy{Idempotent: no}, 3000 * ms, []time.Duration{3000 * ms}, 3000 * ms, failover.ReasonCallerEnded},
		{"not idempotent, up to Timeout", failover.Policy{Idempotent: no, Timeout: 2000 * ms}, 3000 * ms, []time.Duration{2000 * ms}, 2000 * ms, failover.ReasonAmbiguous},
		{"no time for the pause and an attempt", failover.Policy{MinTimeout: 300 * ms, Timeout: 300 * ms, Rounds: 2, Pause: 400 * ms}, 1500 * ms,
			[]time.Duration{300 * ms, 300 * ms, 300 * ms}, 900 * ms, failover.ReasonOutOfTime},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				tc.policy.Ejection.Off = true
				conn := c.connect(t, tc.policy)
				train(t, conn)
				var got allowed
				for _, r := range c {
					r.handle = got.by(hang)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tc.deadline)
				defer cancel()
				start := time.Now()
				attempts, err := call(ctx, conn)
				if took := time.Since(start); took != tc.took || reason(err) != tc.reason || status.Code(err) != codes.DeadlineExceeded {
					t.Errorf("ended after %v: %v, want after %v, DeadlineExceeded, and the reason %v", took, err, tc.took, tc.reason)
				}
				synctest.Wait()
				if len(got.each) != len(tc.want) || len(attempts) != len(tc.want) {
					t.Fatalf("the replicas saw %v, the caller %q, want %v", got.each, path(attempts), tc.want)
				}
				for i, want := range tc.want {
					if d := got.each[i] - want; d < 0 || d > time.Microsecond { // the request's header rounds it
						t.Errorf("the replicas were given %v, want %v", got.each, tc.want)
					}
				}
			})
		})
	}
}

// A call without any time left makes no attempt, and its error is that of the caller's deadline.
func TestNoAttemptAfterTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for _, w := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
			conn := c.connect(t, failover.Policy{WhenDown: w, Rounds: 3})
			ctx, cancel := context.WithDeadline(t.Context(), time.Now())
			defer cancel()
			attempts, err := call(ctx, conn)
			if len(attempts) != 0 || !errors.Is(err, context.DeadlineExceeded) || reason(err) != failover.ReasonCallerEnded {
				t.Errorf("%v: got %q, %v, want no attempt and the caller's deadline", w, path(attempts), err)
			}
		}
		if n := c[0].served.Load() + c[1].served.Load(); n != 0 {
			t.Errorf("%d requests, want none", n)
		}
	})
}

// The error of a call with less time left than MinTimeout names both.
func TestErrorNamesMinTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		conn := newCluster(t, 1).connect(t, failover.Policy{MinTimeout: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := call(ctx, conn)
		if want := "300ms left until the deadline, but an attempt takes at least 1s"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v claims that the caller's deadline has passed", err)
		}
	})
}

// A call option that removes Timeout leaves MinTimeout in force.
func TestZeroTimeoutKeepsMinTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var got allowed
		for _, r := range c {
			r.handle = got.by(hang)
		}
		conn := c.connect(t, failover.Policy{Timeout: time.Second, MinTimeout: time.Second})
		for _, tc := range []struct {
			timeout, want time.Duration
			reason        failover.Reason
		}{
			{0, 1200 * time.Millisecond, failover.ReasonCallerEnded},
			{750 * time.Millisecond, 750 * time.Millisecond, failover.ReasonOutOfTime},
		} {
			got.each = nil
			ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
			defer cancel()
			attempts, err := call(ctx, conn, failover.WithTimeout(tc.timeout))
			synctest.Wait()
			if len(got.each) != 1 || got.each[0].Truncate(time.Millisecond) != tc.want || reason(err) != tc.reason {
				t.Errorf("with a timeout of %v the attempts %q were given %v, want one of %v: %v", tc.timeout, path(attempts), got.each, tc.want, err)
			}
		}
	})
}

// trial is a random call at replicas with random illnesses.
type trial struct {
	policy   failover.Policy
	deadline time.Duration
	ails     []ailment
}

type ailment int

const (
	well ailment = iota
	hanging
	stopped // hangs even after the deadline
	slow
	failing
	refuses
	silent // neither accepts connections nor refuses them
	ailments
)

func newTrial(r *rand.Rand) trial {
	const ms = time.Millisecond
	x := trial{deadline: time.Duration(1+r.IntN(3000)) * ms}
	x.policy = failover.Policy{
		Rounds: 1 + r.IntN(3), Pause: time.Duration(r.IntN(3)*r.IntN(400)) * ms,
		Order: failover.Order(r.IntN(5)), WhenDown: failover.WhenDown(r.IntN(2)),
		Idempotent: map[string]bool{"/": r.IntN(4) > 0},
	}
	if r.IntN(3) > 0 {
		x.policy.Timeout = time.Duration(1+r.IntN(1500)) * ms
	}
	if r.IntN(2) > 0 {
		x.policy.MinTimeout = time.Duration(r.IntN(1000)) * ms
		if x.policy.Timeout > 0 {
			x.policy.MinTimeout = min(x.policy.MinTimeout, x.policy.Timeout)
		}
	}
	if r.IntN(3) == 0 {
		x.policy.Ejection.Off = true
	}
	for range 1 + r.IntN(4) {
		x.ails = append(x.ails, ailment(r.IntN(int(ailments))))
	}
	return x
}

// afflict gives the replicas the illnesses of the trial.
func (x trial) afflict(c cluster, stop <-chan struct{}) {
	for i, r := range c {
		switch x.ails[i] {
		case hanging:
			r.handle = hang
		case stopped:
			r.handle = func(context.Context) error { <-stop; return nil }
		case slow:
			r.handle = sleep(x.deadline / 3)
		case failing:
			r.handle = answer(codes.Unavailable)
		case refuses:
			r.crash()
		}
		r.other = func(stream grpc.ServerStream) error {
			if r.handle != nil {
				if err := r.handle(stream.Context()); err != nil {
					return err
				}
			}
			return stream.SendMsg(new(healthv1.HealthCheckResponse))
		}
	}
}

// dialer is a dialer whose dials of silent replicas never end.
func (x trial) dialer(c cluster) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		i := int(addr[0] - 'a')
		if x.ails[i] == silent {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c[i].dial(ctx)
	})
}

// Calls, and streams until their first message, keep both deadlines at replicas with any illness.
func TestTwoDeadlines(t *testing.T) {
	for seed := range uint64(times(40)) {
		x := newTrial(rand.New(rand.NewPCG(seed, 4)))
		bubble(t, func(t *testing.T) {
			c := newCluster(t, len(x.ails))
			stop := make(chan struct{})
			defer close(stop)
			x.afflict(c, stop)
			conn := c.connect(t, x.policy, x.dialer(c))
			for n := range 4 {
				ctx, cancel := context.WithTimeout(t.Context(), x.deadline)
				defer cancel()
				start := time.Now()
				var attempts []failover.Attempt
				var err error
				if n%2 == 0 {
					attempts, err = call(ctx, conn)
				} else {
					err = receive(ctx, conn, failover.Trace(&attempts))
				}
				if wrong := x.judge(start, time.Now(), attempts, err); wrong != "" {
					t.Errorf("seed %d, call %d: %s\n%+v\n%q after %v: %v", seed, n+1, wrong, x, path(attempts), time.Since(start), err)
				}
			}
		})
	}
}

// judge returns what was wrong with the course of a call, or nothing.
func (x trial) judge(start, end time.Time, attempts []failover.Attempt, err error) string {
	deadline, least := start.Add(x.deadline), max(x.policy.MinTimeout, 1)
	if end.After(deadline) {
		return "the call outlived the caller's deadline"
	}
	before := start
	first := 0 // replicas tried
	for i, a := range attempts {
		left := deadline.Sub(a.Start)
		switch {
		case a.Start.Before(before):
			return fmt.Sprintf("attempt %d began before the one before it had ended", i+1)
		case left < least:
			return fmt.Sprintf("attempt %d began with %v left", i+1, left)
		case a.Duration > left || x.policy.Timeout > 0 && a.Duration > x.policy.Timeout:
			return fmt.Sprintf("attempt %d took %v", i+1, a.Duration)
		case a.Outcome == failover.OutcomeTimeout && a.Duration < min(least, left):
			return fmt.Sprintf("attempt %d was given %v, less than the least", i+1, a.Duration)
		case a.Round == 1 && a.Outcome == failover.OutcomeTimeout && a.Duration != x.share(left, first, a.Sent):
			return fmt.Sprintf("attempt %d was given %v of %v, want %v", i+1, a.Duration, left, x.share(left, first, a.Sent))
		}
		if a.Round == 1 {
			first++
		}
		before = a.Start.Add(a.Duration)
	}
	return x.judgeEnd(deadline.Sub(end), attempts, err)
}

// share returns the share of the remaining time for an attempt at a new replica when so many others
// have been tried.
func (x trial) share(left time.Duration, tried int, sent bool) time.Duration {
	d := left
	if !sent {
		d = max(left/time.Duration(len(x.ails)-tried), x.policy.MinTimeout)
	}
	if x.policy.Timeout > 0 {
		d = min(d, x.policy.Timeout)
	}
	return d
}

// unanswering reports whether a replica may keep a call until its deadline.
func (x trial) unanswering() bool {
	return slices.ContainsFunc(x.ails, func(a ailment) bool { return a == hanging || a == stopped || a == slow })
}

// judgeEnd returns what was wrong with the end of a call, or nothing.
func (x trial) judgeEnd(left time.Duration, attempts []failover.Attempt, err error) string {
	all := map[string]int{}
	for _, a := range attempts {
		all[a.Replica]++
	}
	switch r := reason(err); {
	case err == nil:
	case r == failover.ReasonCallerEnded && left > 0:
		return fmt.Sprintf("the caller's deadline is blamed with %v left", left)
	case r == failover.ReasonOutOfTime && left >= x.policy.MinTimeout+x.policy.Pause+1:
		return fmt.Sprintf("gave up with %v left", left)
	case r == failover.ReasonRoundsSpent && len(attempts) != len(x.ails)*x.policy.Rounds:
		return "the rounds are not spent"
	case r == failover.ReasonAmbiguous && x.policy.Idempotent["/"]:
		return "the method is idempotent"
	case r != failover.ReasonCallerEnded && r != failover.ReasonOutOfTime && r != failover.ReasonRoundsSpent && r != failover.ReasonAmbiguous:
		return "the reason is none of those that can be"
	case r != failover.ReasonAmbiguous && x.policy.WhenDown == failover.WhenDownAttempt && x.policy.MinTimeout == 0 && x.policy.Idempotent["/"] && len(all) < len(x.ails) && !x.unanswering():
		return "a replica was not tried"
	}
	return ""
}
