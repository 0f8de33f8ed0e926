package failover_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

var scenes = flag.Int("scenes", 600, "how many scenes TestPromises plays; a fifth as many with -short or the race detector")

// scene is a random policy, a random load, and replicas with random answers.
type scene struct {
	policy    failover.Policy
	replicas  int
	calls     int
	every     time.Duration
	deadline  time.Duration // 0: none
	cancels   bool          // some callers cancel
	behaviors []string
}

func randomScene(rnd *rand.Rand) scene {
	pick := func(from ...time.Duration) time.Duration { return from[rnd.IntN(len(from))] }
	s := scene{
		replicas: 1 + rnd.IntN(4), calls: 1 + rnd.IntN(60), every: pick(0, ms, 20*ms, 200*ms),
		deadline: pick(50*ms, 300*ms, time.Second, 5*time.Second), cancels: rnd.IntN(4) == 0,
	}
	s.policy = randomPolicy(rnd)
	all := []string{"quick", "slow", "hang", "unavailable", "exhausted", "invalid", "canceled", "crash", "crash after"}
	for range 1 + rnd.IntN(5) {
		s.behaviors = append(s.behaviors, all[rnd.IntN(len(all))])
	}
	return s
}

func randomPolicy(rnd *rand.Rand) (p failover.Policy) {
	pick := func(from ...time.Duration) time.Duration { return from[rnd.IntN(len(from))] }
	maybe := func() bool { return rnd.IntN(2) == 0 }
	p.Idempotent = map[string]bool{"/": maybe()}
	p.Rounds, p.Order = rnd.IntN(4), failover.Order(rnd.IntN(5))
	p.Timeout, p.MinTimeout, p.Pause = pick(0, 20*ms, 200*ms), pick(0, 0, 10*ms), pick(0, 0, 10*ms, 100*ms)
	if maybe() {
		p.WhenDown, p.MaxWait, p.MaxWaiting = failover.WhenDownWait, pick(0, 100*ms), rnd.IntN(5)
	}
	if maybe() {
		p.MaxInFlight = 1 + rnd.IntN(4)
	}
	p.AdaptiveLimit = maybe()
	if maybe() {
		p.Hedge = failover.Hedge{After: pick(ms, 30*ms), Share: rnd.Float64()}
	}
	if maybe() {
		p.Budget.Ratio = rnd.Float64()
	}
	return p
}

// behave answers a request to a replica. It calls executed when the work is done.
func (s scene) behave(ctx context.Context, r *replica, behavior string, executed func()) error {
	switch behavior {
	case "slow":
		executed()
		return takes(100*ms, codes.OK)(ctx)
	case "hang":
		executed()
		return hang(ctx)
	case "unavailable":
		executed()
		return status.Error(codes.Unavailable, "ill")
	case "exhausted":
		return status.Error(codes.ResourceExhausted, "full")
	case "invalid":
		return status.Error(codes.InvalidArgument, "no")
	case "canceled":
		return status.Error(codes.Canceled, "by the replica")
	case "crash":
		r.relaunch()
		return hang(ctx)
	case "crash after":
		executed()
		r.relaunch()
		return hang(ctx)
	}
	executed()
	return nil
}

// play makes the calls, and checks that the promises are kept.
func (s scene) play(t *testing.T, rnd *rand.Rand) {
	var mu sync.Mutex // guards rnd, executions
	executions := map[string]int{}
	c := newCluster(t, s.replicas)
	for _, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
				return err
			}
			md, _ := metadata.FromIncomingContext(stream.Context())
			id := md.Get("id")[0]
			mu.Lock()
			behavior := s.behaviors[rnd.IntN(len(s.behaviors))]
			mu.Unlock()
			err := s.behave(stream.Context(), r, behavior, func() {
				mu.Lock()
				defer mu.Unlock()
				executions[id]++
			})
			if err == nil {
				err = stream.SendMsg(new(emptypb.Empty))
			}
			return err
		}
	}
	conn := c.connect(t, s.policy)
	var calls sync.WaitGroup
	for i := range s.calls {
		id := string(rune('A' + i))
		mu.Lock()
		cancelAt := time.Hour
		if s.cancels && rnd.IntN(2) == 0 {
			cancelAt = time.Duration(rnd.Int64N(int64(s.deadline)))
		}
		mu.Unlock()
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "id", id), s.deadline)
			defer cancel()
			defer time.AfterFunc(cancelAt, cancel).Stop()
			start := time.Now()
			var attempts []failover.Attempt
			err := conn.Invoke(ctx, workMethod, new(emptypb.Empty), new(emptypb.Empty), failover.Trace(&attempts))
			if over := time.Since(start) - min(s.deadline, cancelAt); over > 0 {
				t.Errorf("call %s ended %v after its caller's time", id, over)
			}
			s.check(t, ctx, attempts, err)
		})
		time.Sleep(s.every)
	}
	calls.Wait()
	for _, r := range c {
		r.retire()
	}
	mu.Lock()
	defer mu.Unlock()
	for id, n := range executions {
		if n > 1 && !s.policy.Idempotent["/"] {
			t.Errorf("call %s was executed %d times and is not idempotent", id, n)
		}
	}
	if st := conn.Statistics(); st.Waiting != 0 {
		t.Errorf("%d calls wait after all have ended", st.Waiting)
	}
}

// check checks that the report of a call can be true.
func (s scene) check(t *testing.T, ctx context.Context, attempts []failover.Attempt, err error) {
	ended := func(o failover.Outcome) bool {
		return slices.ContainsFunc(attempts, func(a failover.Attempt) bool { return a.Outcome == o })
	}
	number, hedged := 0, slices.ContainsFunc(attempts, func(a failover.Attempt) bool { return a.Hedge })
	for _, a := range attempts {
		if a.Number <= number || a.Number > number+1 && !hedged {
			t.Errorf("attempt %d after %d: %q", a.Number, number, path(attempts))
		}
		number = a.Number
	}
	if err == nil {
		if !ended(failover.OutcomeOK) {
			t.Errorf("success without an attempt that succeeded: %q", path(attempts))
		}
		return
	}
	code := status.Code(err)
	rejected := slices.Contains([]codes.Code{codes.InvalidArgument, codes.Canceled, codes.ResourceExhausted}, code)
	switch r := reason(err); {
	case r < 0 || code == codes.OK || code == codes.Unknown || err.Error() == "":
		t.Errorf("no reason or no status: %v", err)
	case ended(failover.OutcomeOK):
		t.Errorf("an attempt succeeded, and the call failed: %v", err)
	case r == failover.ReasonCallerEnded && ctx.Err() == nil && !expired(ctx):
		t.Errorf("the caller has not ended the call: %v", err)
	case r == failover.ReasonNotRetryable && !rejected:
		t.Errorf("rejected with %v: %v", code, err)
	}
}

// expired reports whether the deadline has passed, even if the context's timer has not fired.
func expired(ctx context.Context) bool {
	d, ok := ctx.Deadline()
	return ok && !time.Now().Before(d)
}

// Whatever the policy and the replicas do, a call ends in time, with the success of an attempt or a
// plausible reason. A call that is not idempotent is executed at most once. Nothing is left behind.
func TestPromises(t *testing.T) {
	n := *scenes
	if testing.Short() || raced {
		n /= 5
	}
	for seed := range uint64(n) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		s := randomScene(rnd)
		if !t.Run("", func(t *testing.T) { bubble(t, func(t *testing.T) { s.play(t, rnd) }) }) {
			t.Logf("scene %d: %+v", seed, s)
		}
	}
}
