package failover_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/types/known/emptypb"
)

var worlds = flag.Int("worlds", 50, "how many random worlds TestNoWorseThanRoundRobin tries; a fifth as many with -short or the race detector, which has nothing to find in them")

// raced reports whether the race detector is on.
var raced bool

// world is a situation in which calls are made: replicas that fall ill and recover, and a load.
type world struct {
	Service    string        // of serviceTimes
	Mean       time.Duration // of the service times
	Replicas   [][]phase
	Calls      int
	Every      time.Duration // between two calls, on average
	Deadline   time.Duration
	Idempotent bool
	Order      failover.Order
}

func (w world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "world{Service: %q, Mean: %d, Calls: %d, Every: %d, Deadline: %d, Idempotent: %v, Order: %d, Replicas: [][]phase{",
		w.Service, w.Mean, w.Calls, w.Every, w.Deadline, w.Idempotent, w.Order)
	for _, phases := range w.Replicas {
		b.WriteString("{")
		for _, x := range phases {
			fmt.Fprintf(&b, "{%v, %d, %d}, ", x.ill, x.from, x.until)
		}
		b.WriteString("}, ")
	}
	return b.String() + "}}"
}

// randomWorld returns a world in which at least one replica is healthy at any time: otherwise all
// clients fail.
func randomWorld(rnd *rand.Rand) world {
	pick := func(from ...time.Duration) time.Duration { return from[rnd.IntN(len(from))] }
	names := []string{"constant", "exponential", "bimodal"}
	w := world{
		Service: names[rnd.IntN(len(names))], Mean: pick(ms, 10*ms, 100*ms),
		Calls: 60, Every: pick(20*ms, 100*ms, 300*ms), Deadline: pick(300*ms, time.Second, 3*time.Second, 10*time.Second),
		Idempotent: rnd.IntN(2) == 0, Order: failover.Order(rnd.IntN(5)),
		Replicas: make([][]phase, 2+rnd.IntN(4)),
	}
	w.Mean = min(w.Mean, w.Deadline/20)
	span := time.Duration(w.Calls) * w.Every
	for i := range w.Replicas[1:] {
		begin := time.Duration(0) // of the next phase
		if rnd.IntN(2) == 0 {
			begin = time.Duration(rnd.Int64N(int64(span)))
		}
		for n := rnd.IntN(4); n > 0; n-- {
			x := phase{illness(rnd.IntN(int(illnesses))), begin, time.Hour}
			if n > 1 || rnd.IntN(2) == 0 {
				x.until = x.from + time.Duration(rnd.Int64N(int64(span)))
			}
			w.Replicas[i] = append(w.Replicas[i], x)
			begin = x.until
			if rnd.IntN(2) == 0 {
				begin += time.Duration(rnd.Int64N(int64(span)))
			}
		}
	}
	rnd.Shuffle(len(w.Replicas), func(i, j int) { w.Replicas[i], w.Replicas[j] = w.Replicas[j], w.Replicas[i] })
	return w
}

// score is how well a client did in a world.
type score struct {
	success  float64 // the share of the calls
	latency  float64 // mean in seconds; a failed call counts with its deadline
	requests float64 // seen by the replicas, per successful call
}

// dialer creates a client for a world.
type dialer func(t *testing.T, w world, dial grpc.DialOption, addrs []string) grpc.ClientConnInterface

// plain is the client that users of gRPC have without this package.
func plain(t *testing.T, w world, dial grpc.DialOption, addrs []string) grpc.ClientConnInterface {
	config := `{"loadBalancingConfig": [{"round_robin": {}}]`
	if w.Idempotent {
		config += fmt.Sprintf(`, "methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": %d, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
			"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]`, max(2, len(addrs)))
	}
	m := manual.NewBuilderWithScheme("world")
	var s resolver.State
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	m.InitialState(s)
	// By default a replica that was down for a moment is avoided for a second or more, whether it
	// is well or falls ill in another way. To compare what is done about an illness, gRPC has to
	// meet it too.
	redial := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 25 * ms, Multiplier: 1, MaxDelay: 25 * ms}, MinConnectTimeout: 20 * time.Second}
	conn, err := grpc.NewClient("world:///x", dial, grpc.WithResolvers(m), grpc.WithDefaultServiceConfig(config+"}"),
		grpc.WithConnectParams(redial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// withPolicy is the client of this package with a policy.
func withPolicy(p failover.Policy) dialer {
	return func(t *testing.T, w world, dial grpc.DialOption, addrs []string) grpc.ClientConnInterface {
		p.Order, p.Idempotent = w.Order, map[string]bool{"/": w.Idempotent}
		conn, err := failover.NewClient("static:///"+strings.Join(addrs, ","), p, dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

// live makes the calls of a world. The seed determines the random choices.
func (w world) live(t *testing.T, seed uint64, d dialer) (s score) {
	ok := t.Run("", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			rnd, luck := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex // guards luck, latencies
			service := func(context.Context) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return serviceTimes[w.Service](luck, w.Mean)
			}
			patients, addrs := map[string]*patient{}, []string{}
			for i, phases := range w.Replicas {
				addr := fmt.Sprintf("%c:1", 'a'+i)
				patients[addr], addrs = newPatient(t, addr, phases, service), append(addrs, addr)
			}
			conn := d(t, w, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return patients[addr].dial(ctx)
			}), addrs)
			var latencies []float64
			var calls sync.WaitGroup
			for range w.Calls {
				time.Sleep(time.Duration(rnd.ExpFloat64() * float64(w.Every)))
				calls.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), w.Deadline)
					defer cancel()
					start := time.Now()
					if err := conn.Invoke(ctx, workMethod, new(emptypb.Empty), new(emptypb.Empty)); err == nil {
						mu.Lock()
						defer mu.Unlock()
						latencies = append(latencies, time.Since(start).Seconds())
					}
				})
			}
			calls.Wait()
			s.success = float64(len(latencies)) / float64(w.Calls)
			s.latency = (1 - s.success) * w.Deadline.Seconds()
			for _, l := range latencies {
				s.latency += l / float64(w.Calls)
			}
			for _, p := range patients {
				p.mu.Lock()
				s.requests += float64(p.requests) / float64(max(len(latencies), 1))
				p.mu.Unlock()
			}
		})
	})
	if !ok {
		t.FailNow()
	}
	return s
}

// measure is a respect in which one client may be worse than another.
type measure struct {
	name  string
	of    func(ours, plain score) float64 // positive if ours is worse
	least float64                         // the smallest relevant difference
}

// differences returns the mean of the differences between runs, and its standard error.
func (m measure) differences(ours, plain []score) (mean, se float64) {
	n := float64(len(ours))
	for i := range ours {
		mean += m.of(ours[i], plain[i]) / n
	}
	for i := range ours {
		se += math.Pow(m.of(ours[i], plain[i])-mean, 2)
	}
	return mean, math.Sqrt(se / max(n-1, 1) / n)
}

// worse returns in which respect a client is worse than plain gRPC in a world, or an empty string
// if none is significant. It first compares one run with the same luck for both, and makes further
// runs if that looks bad. A difference counts if it exceeds four standard errors of the differences
// between runs and is large enough to matter.
func (w world) worse(t *testing.T, d dialer) string {
	const most = 12
	least := 1
	if w.Order == failover.OrderFirst || w.Order == failover.OrderSticky {
		least = len(w.Replicas)
	}
	measures := []measure{
		{"success", func(o, p score) float64 { return p.success - o.success }, 0.02},
		{"requests per success", func(o, p score) float64 { return o.requests - p.requests }, 0.1},
	}
	if w.comparable() {
		measures = append(measures, measure{"latency", func(o, p score) float64 { return o.latency - p.latency }, max(0.02, 0.5*w.Mean.Seconds())})
	}
	var ours, theirs []score
	for seed := range uint64(most) {
		w := w.rotated(int(seed) % least)
		ours, theirs = append(ours, w.live(t, seed, d)), append(theirs, w.live(t, seed, plain))
		if len(ours) < least {
			continue
		}
		measures = slices.DeleteFunc(measures, func(m measure) bool {
			mean, _ := m.differences(ours, theirs)
			return mean <= m.least
		})
		if len(measures) == 0 {
			return ""
		}
	}
	for _, m := range measures {
		if mean, se := m.differences(ours, theirs); mean > m.least+4*se {
			return fmt.Sprintf("%s: worse by %.3f ± %.3f; ours %+v, plain %+v", m.name, mean, se, ours[0], theirs[0])
		}
	}
	return ""
}

// rotated returns the world with its list of replicas rotated. Which replica falls ill is chance:
// OrderFirst has all its calls in flight at one replica and loses all or none of them, whereas
// round_robin loses some.
func (w world) rotated(by int) world {
	w.Replicas = slices.Concat(w.Replicas[by:], w.Replicas[:by])
	return w
}

// comparable reports whether latencies can be compared. OrderFirst and OrderSticky deliberately
// stay with a replica that is slow but answers in time; round_robin does not.
func (w world) comparable() bool {
	slow := func(phases []phase) bool {
		return slices.ContainsFunc(phases, func(x phase) bool { return x.ill == illSlow })
	}
	return !slices.ContainsFunc(w.Replicas, slow)
}

// shrink returns the smallest world found that is still bad.
func (w world) shrink(bad func(world) bool) world {
	for again := true; again; {
		again = false
		for _, smaller := range w.smaller() {
			if bad(smaller) {
				w, again = smaller, true
				break
			}
		}
	}
	return w
}

// smaller returns worlds that are a step simpler.
func (w world) smaller() (all []world) {
	with := func(change func(*world)) {
		s := w
		s.Replicas = slices.Clone(w.Replicas)
		change(&s)
		well := func(phases []phase) bool { return len(phases) == 0 }
		if s.String() != w.String() && slices.ContainsFunc(s.Replicas, well) {
			all = append(all, s)
		}
	}
	for i := range w.Replicas {
		if len(w.Replicas) > 2 {
			with(func(s *world) { s.Replicas = slices.Delete(s.Replicas, i, i+1) })
		}
		if len(w.Replicas[i]) > 0 {
			with(func(s *world) { s.Replicas[i] = nil })
			x, all := w.Replicas[i][0], len(w.Replicas[i])
			last := w.Replicas[i][all-1]
			if all > 1 {
				with(func(s *world) { s.Replicas[i] = slices.Clone(s.Replicas[i][1:]) })
				with(func(s *world) { s.Replicas[i] = slices.Clone(s.Replicas[i][:all-1]) })
			}
			with(func(s *world) {
				s.Replicas[i] = slices.Concat([]phase{{x.ill, 0, x.until}}, s.Replicas[i][1:])
			})
			with(func(s *world) {
				s.Replicas[i] = slices.Concat(s.Replicas[i][:all-1], []phase{{last.ill, last.from, time.Hour}})
			})
		}
	}
	with(func(s *world) { s.Service = "constant" })
	with(func(s *world) { s.Mean = ms })
	with(func(s *world) { s.Order = failover.OrderFirst })
	with(func(s *world) { s.Every = 100 * ms })
	return all
}

// worldPolicies are the policies that must not be worse than plain gRPC in any world.
var worldPolicies = map[string]failover.Policy{"zero": {}, "recommended": failover.Recommended()}

// In no world does failover do worse than round_robin with a retryPolicy: with fewer successes, a
// higher latency or more requests.
func TestNoWorseThanRoundRobin(t *testing.T) {
	n := *worlds
	if testing.Short() || raced {
		n /= 5
	}
	for i := range n {
		w := randomWorld(rand.New(rand.NewPCG(uint64(i), 0)))
		for name, p := range worldPolicies {
			t.Run(fmt.Sprintf("%d/%s", i, name), func(t *testing.T) {
				if w.worse(t, withPolicy(p)) == "" {
					return
				}
				small := w.shrink(func(w world) bool { return w.worse(t, withPolicy(p)) != "" })
				t.Errorf("%v\n\t%s", small, small.worse(t, withPolicy(p)))
			})
		}
	}
}
