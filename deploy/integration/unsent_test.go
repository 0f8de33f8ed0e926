package integration

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/crashlab/client/failover"
)

// Under kill -9, a method that is not idempotent is never executed twice, and attempts that were
// not sent are repeated: a call fails only if the one attempt that was sent was lost.
func TestSoakUnsentIsRepeated(t *testing.T) {
	long(t, "one kill after the other")
	besideOthers(t)
	e := enterUnderFire(t, scale(600, 1_000_000), false)
	for number, n := range e.executions {
		if n > 1 {
			e.wrong.add("call %d was executed %d times", number, n)
		}
	}
	for _, number := range e.succeeded {
		if n := e.executions[number]; n != 1 {
			e.wrong.add("call %d succeeded and was executed %d times", number, n)
		}
	}
	if e.missed(e.executions) {
		t.Error("want calls that succeed after unsent attempts, and calls that fail after a sent one")
	}
}

// The control experiment: with calls that may be repeated after they were sent, the ledgers show
// executions that happen twice.
func TestSoakSentIsRepeated(t *testing.T) {
	long(t, "one kill after the other")
	besideOthers(t)
	e := enterUnderFire(t, scale(300, 100_000), true)
	for _, number := range e.succeeded {
		if e.executions[number] == 0 {
			e.wrong.add("call %d succeeded and was not executed", number)
		}
	}
	if e.ambiguous > 0 || e.missed(e.executions) {
		t.Error("want no call that fails, and calls that are executed twice")
	}
}

// entries are the calls to a ledger, and their results.
type entries struct {
	conn       *failover.Client
	repeatable bool // even after they were sent
	wrong      *mistakes

	mu         sync.Mutex // guards the fields below
	succeeded  []int      // numbers of calls
	recovered  int        // number of calls that have succeeded after unsent attempts
	ambiguous  int        // number of calls that have failed, and may have been executed
	executions map[int]int
}

// enterUnderFire makes at least n calls to a ledger whose replicas are killed several times a
// second.
func enterUnderFire(t *testing.T, n int, repeatable bool) *entries {
	t.Helper()
	c, folder := startLedger(t)
	h := newHunter(c)
	p := lenient
	p.Order = failover.OrderRoundRobin
	cl := newClient(t, c.target(), p)
	cl.awaitReady(3)
	e := &entries{conn: cl.conn, repeatable: repeatable, wrong: newMistakes(t)}
	crew := startCrew(t, scale(16, 32), n, patience, e.enter)
	rnd := rand.New(rand.NewPCG(1, 0))
	// A kill hits a call by chance; up to 100 are tried.
	for shot := 0; !crew.hasEnough() || shot < 4 || shot < 100 && e.missed(executions(t, folder)); shot++ {
		<-time.After(time.Duration(rnd.IntN(scale(100, 400))) * time.Millisecond)
		h.shoot(shot, rnd)
		crew.pass() // otherwise all replicas might be dead all the time on a slow machine
	}
	crew.stop()
	e.executions = executions(t, folder)
	t.Logf("%s; %d kills, %d calls recovered from unsent attempts, %d executed more than once",
		figures(cl.conn.Statistics()), h.kills, e.recovered, duplicates(e.executions))
	return e
}

// shoot kills a replica or, every eighth time, all of them, so that nothing can be sent.
func (h *hunter) shoot(shot int, rnd *rand.Rand) {
	h.t.Helper()
	victims := []int{rnd.IntN(3)}
	if shot%8 == 0 {
		victims = []int{0, 1, 2}
	}
	for _, i := range victims {
		h.awaitLaunched(i)
	}
	for _, i := range victims {
		h.hit(i, syscall.SIGKILL)
	}
}

// enter makes a call.
func (e *entries) enter(ctx context.Context, number int) {
	var attempts []failover.Attempt
	opts := []grpc.CallOption{failover.Trace(&attempts)}
	if e.repeatable { // otherwise the default of the policy applies
		opts = append(opts, failover.WithIdempotent(true))
	}
	err := e.conn.Invoke(ctx, ledgerMethod, wrapperspb.UInt64(uint64(number)), new(emptypb.Empty), opts...)
	failed, _ := errors.AsType[*failover.Error](err)
	sent := 0
	for _, a := range attempts {
		if a.Sent {
			sent++
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case sent > 1 && !e.repeatable:
		e.wrong.add("call %d was repeated after it was sent: %v", number, attempts)
	case err == nil:
		e.succeeded = append(e.succeeded, number)
		if sent < len(attempts) {
			e.recovered++
		}
	case failed != nil && failed.Reason == failover.ReasonAmbiguous && sent == 1:
		e.ambiguous++
	default:
		e.wrong.add("call %d: %v", number, err)
	}
}

// missed reports whether the kills have not yet had the effects that the test is about.
func (e *entries) missed(executions map[int]int) bool {
	if e.repeatable {
		return duplicates(executions) == 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recovered == 0 || e.ambiguous == 0
}

// duplicates returns the number of calls that were executed more than once.
func duplicates(executions map[int]int) (n int) {
	for _, times := range executions {
		if times > 1 {
			n++
		}
	}
	return n
}
