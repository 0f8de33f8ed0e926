package failover_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

// scenario is a world with a policy, in which the real and the virtual client must do the same.
type scenario struct {
	world
	Policy   failover.Policy
	Seed     uint64
	Other    other // of every second call
	Cancel   int   // every n-th call is canceled by its caller; zero: none
	After    time.Duration
	Pushback int // with the answers of illFails, in ms; zero: none
}

// other is how another method differs. The zero value means that there is none.
type other struct {
	Rounds         int
	Wait           bool
	Idempotent     bool
	Timeout, Hedge time.Duration
}

// otherMethod is the name of that method.
const otherMethod = "/test.Work/Other"

// method returns the method of a call.
func (s scenario) method(call uint64) string {
	if s.Other != (other{}) && call%2 == 0 {
		return otherMethod
	}
	return workMethod
}

// cancels reports whether the caller cancels the call.
func (s scenario) cancels(call uint64) bool { return s.Cancel > 0 && call%uint64(s.Cancel) == 0 }

// arrivals returns when the calls begin.
func (s scenario) arrivals() (all []time.Duration) {
	rnd, at := rand.New(rand.NewPCG(s.Seed, 1)), 3*soon
	for range s.Calls {
		at += 1 + time.Duration(rnd.ExpFloat64()*float64(s.Every))
		all = append(all, at)
	}
	return all
}

// takes returns the service time of an attempt, which depends only on the arguments.
func (s scenario) takes(call uint64, number int) time.Duration {
	return serviceTimes[s.Service](rand.New(rand.NewPCG(s.Seed, call<<16|uint64(number))), s.Mean)
}

func (s scenario) policy() failover.Policy {
	p := s.Policy
	p.Order, p.Idempotent = s.Order, map[string]bool{"/": s.Idempotent}
	if o := s.Other; o != (other{}) {
		m := failover.MethodPolicy{Rounds: &o.Rounds, Idempotent: &o.Idempotent, Timeout: &o.Timeout, WhenDown: new(failover.WhenDown)}
		if o.Wait {
			*m.WhenDown = failover.WhenDownWait
		}
		if o.Hedge > 0 {
			m.Hedge = &failover.Hedge{After: o.Hedge, Share: 0.5}
		}
		p.Methods = map[string]failover.MethodPolicy{otherMethod: m}
	}
	return p
}

// journal records what a client did, with a line for each attempt and each call.
type journal struct {
	mu    sync.Mutex
	lines []journalLine
}

type journalLine struct {
	at     time.Duration // when it ended
	call   uint64
	number int // of the attempt; the call's end is the last
	text   string
}

func (j *journal) attempt(call uint64, number, round int, replica int, start, took time.Duration, outcome string, sent, hedge bool) {
	j.add(start+took, call, number, fmt.Sprintf("attempt %d, round %d at %c: %d + %d %s, sent %v, hedge %v", number, round, 'a'+replica, start, took, outcome, sent, hedge))
}

func (j *journal) end(call uint64, start, took, waited time.Duration, ended string) {
	j.add(start+took, call, 1<<30, fmt.Sprintf("%d + %d, waited %d: %s", start, took, waited, ended))
}

func (j *journal) add(at time.Duration, call uint64, number int, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, journalLine{at, call, number, fmt.Sprintf("call %d: %s", call, text)})
}

// sorted returns the lines in the order in which they ended.
func (j *journal) sorted() []journalLine {
	slices.SortFunc(j.lines, func(a, b journalLine) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.call, b.call), cmp.Compare(a.number, b.number))
	})
	return j.lines
}

// real plays the scenario with the real client.
func (s scenario) real(t *testing.T) []journalLine {
	var h journal
	ok := t.Run("", func(t *testing.T) {
		bubble(t, func(t *testing.T) { s.playReal(t, &h) })
	})
	if !ok {
		t.FailNow()
	}
	return h.sorted()
}

func (s scenario) playReal(t *testing.T, h *journal) {
	patients, addrs := map[string]*patient{}, []string{}
	for i, phases := range s.Replicas {
		addr := fmt.Sprintf("%c:1", 'a'+i)
		patients[addr] = newPatient(t, addr, phases, func(ctx context.Context) time.Duration {
			md, _ := metadata.FromIncomingContext(ctx)
			call, number := 0, 1
			if method, _ := grpc.Method(ctx); method == workMethod || method == otherMethod { // otherwise it is a probe, with the metadata of a call
				call, _ = strconv.Atoi(md.Get("id")[0])
			}
			if n := md.Get("grpc-previous-rpc-attempts"); len(n) > 0 {
				number, _ = strconv.Atoi(n[0])
				number++
			}
			return s.takes(uint64(call), number)
		})
		if s.Pushback != 0 {
			patients[addr].pushback = strconv.Itoa(s.Pushback)
		}
		addrs = append(addrs, addr)
	}
	p, start := s.policy(), time.Now()
	p.OnCall = func(ctx context.Context, c failover.Call) {
		md, _ := metadata.FromOutgoingContext(ctx)
		id, _ := strconv.Atoi(md.Get("id")[0])
		for _, a := range c.Attempts {
			h.attempt(uint64(id), a.Number, a.Round, int(a.Replica[0]-'a'), a.Start.Sub(start), a.Duration, a.Outcome.String(), a.Sent, a.Hedge)
		}
		ended := "ok"
		if c.Err != nil {
			ended = reason(c.Err).String()
		}
		h.end(uint64(id), c.Start.Sub(start), c.Duration, c.Waited, ended)
	}
	conn, err := failover.NewClient("static:///"+strings.Join(addrs, ","), p, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return patients[addr].dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.Seed(s.Seed)
	conn.Connect()
	time.Sleep(2 * soon)
	synctest.Wait()
	var calls sync.WaitGroup
	for i, at := range s.arrivals() {
		time.Sleep(time.Until(start.Add(at)))
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "id", strconv.Itoa(i+1)), s.Deadline)
			defer cancel()
			if s.cancels(uint64(i + 1)) {
				defer time.AfterFunc(s.After, cancel).Stop()
			}
			conn.Invoke(ctx, s.method(uint64(i+1)), new(emptypb.Empty), new(emptypb.Empty))
		})
	}
	calls.Wait()
}

// virtual plays the scenario with the virtual client. The ties determine the order of simultaneous
// events.
func (s scenario) virtual(t *testing.T, ties *ties) []journalLine {
	policy, err := s.policy().Virtual(workMethod)
	if err != nil {
		t.Fatal(err)
	}
	var h journal
	w := &virtualWorld{scenario: s}
	w.timeline.Ties = func(kind virtual.Tie, n int) int {
		i := ties.choose(w.timeline.Now(), kind, n)
		if kind == virtual.TieLoss { // in a bubble of synctest the lost calls usually go on first
			i = n - 1 - i
		}
		return i
	}
	for i, phases := range s.Replicas {
		for _, x := range phases {
			switch x.ill {
			case illRefuses:
				w.at(x.from, func() { w.client.Break(i) })
			case illDrains:
				w.at(x.from, func() { w.client.Drain(i) })
			case illRefusesStreams:
				w.at(x.from, func() { w.client.Break(i) })
				w.at(x.until, func() { w.client.Break(i) })
			}
		}
	}
	w.client = virtual.New(&w.timeline, policy, w, len(s.Replicas), s.Seed)
	w.client.OnAttempt = func(a virtual.Attempt) {
		h.attempt(a.Call, a.Number, a.Round, a.Replica, a.Start, a.Duration, failover.Outcome(a.Outcome).String(), a.Sent, a.Hedge)
	}
	methods := map[string]*virtual.Method{}
	for _, name := range []string{workMethod, otherMethod} {
		p, err := s.policy().Virtual(name)
		if err != nil {
			t.Fatal(err)
		}
		methods[name] = w.client.Method(p)
	}
	for i, at := range s.arrivals() {
		call := uint64(i + 1)
		w.at(at, func() {
			pending := methods[s.method(call)].Call(at+s.Deadline, func(c virtual.Call) {
				ended := "ok"
				if !c.OK {
					ended = failover.ReasonOf(c.Reason).String()
				}
				h.end(call, c.Start, c.Duration, c.Waited, ended)
			})
			if s.cancels(call) {
				w.at(at+s.After, pending.Cancel)
			}
		})
	}
	w.timeline.RunUntil(s.arrivals()[s.Calls-1] + s.Deadline + time.Hour)
	return h.sorted()
}

// virtualWorld are the patients of a scenario.
type virtualWorld struct {
	scenario
	timeline virtual.Timeline
	client   *virtual.Client
}

func (w *virtualWorld) at(at time.Duration, do func()) {
	w.timeline.Set(&virtual.Timer{Do: do}, at)
}

// ill returns the illness of a replica at a time.
func (w *virtualWorld) ill(replica int, at time.Duration) (phase, bool) {
	for _, x := range w.Replicas[replica] {
		if x.from <= at && at < x.until {
			return x, true
		}
	}
	return phase{}, false
}

// runs returns when a replica continues after a given time, at which it may be stopped.
func (w *virtualWorld) runs(replica int, at time.Duration) time.Duration {
	for x, ill := w.ill(replica, at); ill && (x.ill == illStopped || x.ill == illBlackHole); x, ill = w.ill(replica, at) {
		at = x.until
	}
	return at
}

func (w *virtualWorld) Dial(replica int, knock bool) (time.Duration, bool) {
	now := w.timeline.Now()
	at := now
	if x, ill := w.ill(replica, at); ill && x.ill == illBlackHole {
		at = x.until
	}
	if x, ill := w.ill(replica, at); ill && x.ill == illRefuses {
		return at - now, false
	}
	if x, ill := w.ill(replica, at); ill && x.ill == illRefusesStreams {
		return at - now, true
	}
	if at += sooner; knock {
		return at - now, true
	}
	runs := w.runs(replica, at)
	x, ill := w.ill(replica, runs)
	hungUp := runs > at && ill && (x.ill == illRefuses || x.ill == illRefusesStreams) // as it goes on
	return runs - now, !hungUp
}

// answer returns when and how a replica answers a request with the given service time. down says
// that its connection breaks then.
func (w *virtualWorld) answer(replica int, takes time.Duration) (after time.Duration, o virtual.Outcome) {
	now := w.timeline.Now()
	at, o := w.runs(replica, now), virtual.OutcomeOK
	if x, ill := w.ill(replica, at); ill {
		switch x.ill {
		case illHangs:
			return virtual.Forever, o
		case illRefusesStreams:
			return at - now, virtual.OutcomeRefused
		case illHangsUp:
			takes, o = soon, virtual.OutcomeLost
		case illFails:
			takes, o = soon, virtual.OutcomeFailed
		case illSlow:
			takes *= 10
		}
	}
	if at += takes; o != virtual.OutcomeLost {
		at = w.runs(replica, at)
	}
	return at - now, o
}

func (w *virtualWorld) Send(a virtual.Attempt) virtual.Reply {
	after, o := w.answer(a.Replica, w.takes(a.Call, a.Number))
	r := virtual.Reply{After: after, Outcome: o}
	if o == virtual.OutcomeFailed {
		r.Pushback = time.Duration(w.Pushback) * time.Millisecond
	}
	return r
}

func (w *virtualWorld) Probe(replica int) (time.Duration, virtual.Finding) {
	after, o := w.answer(replica, w.takes(0, 1))
	switch o {
	case virtual.OutcomeLost:
		w.at(w.timeline.Now()+after, func() { w.client.Break(replica) })
	case virtual.OutcomeOK:
		return after, virtual.FindingServing
	}
	return after, virtual.FindingUnhealthy
}
