package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/crashlab/client/failover"
)

const (
	// onceDeadline is the deadline of calls that must not be executed twice, which a partition can
	// delay for this long. Other calls try again after tryAgainAfter.
	onceDeadline  = 3 * time.Second
	tryAgainAfter = time.Second
)

// machines are three machines, each with a supervisor and a replica of the ledger, and a client on
// a fourth one.
type machines struct {
	t           *testing.T
	hosts       []host
	supervisors []*process
	ledgers     string // directory
	conn        *failover.Client
	wrong       *mistakes

	mu     sync.Mutex
	number int
	served map[string]int // by address, in this phase
	calls  map[int]end    // all calls, by number
}

// end is the result of a call.
type end struct {
	repeatable bool
	err        error
	sent       bool // at least one attempt was sent
}

func startMachines(t *testing.T) *machines {
	t.Helper()
	const port = "7101"
	w := newNetwork(t, 4)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &machines{t: t, hosts: w.hosts[:3], ledgers: t.TempDir(), wrong: newMistakes(t), served: map[string]int{}, calls: map[int]end{}}
	file := write(t, fmt.Sprintf("command: [%q, '{addr}', '{name}']\nenv: {%s: %q}\nrestart_delay: 100ms\nready: grpc\nalive: grpc\n", self, ledgerVariable, m.ledgers))
	var addrs []string
	for i, h := range m.hosts {
		s := h.start("supervisor", "--config="+file, "--name="+letter(i), "--host="+h.ip, "--base-port="+port, "--log-json", "--stop-timeout=1m")
		m.supervisors = append(m.supervisors, s)
		addrs = append(addrs, net.JoinHostPort(h.ip, port))
	}
	for _, s := range m.supervisors {
		s.await(&s.stderr, "replica that is ready", func(line string) bool { return strings.Contains(line, `"@message":"ready"`) })
	}
	p := failover.Recommended()
	p.Order = failover.OrderRoundRobin
	m.conn, err = failover.NewClient("static:///"+strings.Join(addrs, ","), p,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(w.hosts[3].dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// call makes a call. Every second one may be executed twice; it has no deadline, and must succeed.
func (m *machines) call(ctx context.Context, _ int) {
	m.mu.Lock()
	m.number++
	number := m.number
	m.mu.Unlock()
	e := end{repeatable: number%2 == 0}
	var attempts []failover.Attempt
	opts := []grpc.CallOption{failover.Trace(&attempts)}
	if e.repeatable {
		opts = append(opts, failover.WithIdempotent(true), failover.WithTimeout(tryAgainAfter))
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, onceDeadline)
		defer cancel()
	}
	e.err = m.conn.Invoke(ctx, ledgerMethod, wrapperspb.UInt64(uint64(number)), new(emptypb.Empty), opts...)
	if status.Code(e.err) == codes.DeadlineExceeded && ctx.Err() == nil {
		m.wrong.add("call %d failed before its deadline: %v", number, e.err)
	}
	if e.err != nil && e.repeatable {
		m.wrong.add("call %d may be repeated, and failed: %v", number, e.err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range attempts {
		e.sent = e.sent || a.Sent
		if a.Outcome == failover.OutcomeOK {
			m.served[a.Replica]++
		}
	}
	m.calls[number] = e
}

// phase makes calls, and calls strike after a quarter of them. It returns how many each machine has
// served since then.
func (m *machines) phase(name string, calls int, strike func()) []int {
	m.t.Helper()
	before := m.conn.Statistics()
	begin := time.Now()
	crew := startCrew(m.t, 8, calls/4, patience, m.call)
	m.await(crew, crew.enough)
	strike()
	m.forget()
	enough := make(chan struct{})
	go func() {
		defer close(enough)
		for crew.ended.Load() < int64(calls) {
			time.Sleep(time.Millisecond)
		}
	}()
	m.await(crew, enough)
	crew.stop()
	served := m.servedBy()
	now := m.conn.Statistics()
	m.t.Logf("%s: %d calls in %v, of which %d failed; served by a, b, c: %v", name, now.Calls-before.Calls,
		time.Since(begin).Round(time.Millisecond), (now.Calls-now.Succeeded)-(before.Calls-before.Succeeded), served)
	return served
}

func (m *machines) await(c *crew, event <-chan struct{}) {
	m.t.Helper()
	select {
	case <-event:
	case <-time.After(4 * patience):
		c.hangs()
	}
}

// forget makes servedBy count from now.
func (m *machines) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.served)
}

func (m *machines) servedBy() (n []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.hosts {
		n = append(n, m.served[net.JoinHostPort(h.ip, "7101")])
	}
	return n
}

// recover makes calls until all machines serve again.
func (m *machines) recover() {
	m.t.Helper()
	m.forget()
	begin := time.Now()
	for served := m.servedBy(); served[0] == 0 || served[1] == 0 || served[2] == 0; served = m.servedBy() {
		if time.Since(begin) > patience {
			m.t.Fatalf("after %v the machines have served %v", patience, served)
		}
		ctx, cancel := context.WithTimeout(m.t.Context(), patience)
		m.call(ctx, 0)
		cancel()
	}
	m.t.Logf("  all machines serve again %v later", time.Since(begin).Round(time.Millisecond))
}

// On machines that cannot reach each other, and with replicas that are killed, no call that must
// not be executed twice is, calls that may be repeated succeed, and no call exceeds its deadline.
func TestMachinesApart(t *testing.T) {
	m := startMachines(t)
	a, b := m.hosts[0], m.hosts[1]

	delayed := true
	m.phase("loss of 1% of the packets", 400, func() {
		for _, h := range m.hosts {
			h.lose()
			delayed = h.delay() && delayed
		}
	})
	if !delayed {
		t.Log("  the kernel has no netem: there is no latency")
	}
	for _, h := range m.hosts {
		h.heal()
	}
	m.phase("replicas are killed", 2000, func() {
		for range 5 {
			for _, s := range m.supervisors {
				killReplica(s)
			}
		}
	})
	m.phase("a is cut off", 400, func() {
		a.deafen()
		a.mute()
	})
	if *soak {
		// So long that TCP retransmits only every ten seconds or so.
		for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			m.call(t.Context(), 0)
		}
	}
	a.heal()
	m.recover()
	m.phase("packets to a are dropped", 400, a.deafen)
	a.heal()
	m.recover()
	m.phase("packets from b are dropped", 400, b.mute)
	b.heal()
	m.recover()
	if served := m.phase("packets from a are dropped, and c is gone", 400, func() {
		m.supervisors[2].signal(syscall.SIGKILL) // kills its replica too
		a.mute()
	}); served[1] == 0 {
		t.Error("b, which is left, has served nothing")
	}

	for _, s := range m.supervisors[:2] {
		s.signal(os.Interrupt)
		if code := s.exitCode(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
	m.checkLedgers()
}

// killReplica kills the replica of a supervisor, and returns when the next incarnation is ready.
func killReplica(supervisor *process) {
	supervisor.t.Helper()
	pid, ready := 0, 0
	var e event
	for _, line := range supervisor.stderr.all() {
		switch e.parse(line); e.Message {
		case "launched":
			pid = e.PID
		case "ready":
			ready++
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	supervisor.await(&supervisor.stderr, "relaunch", func(line string) bool {
		if e.parse(line) && e.Message == "ready" {
			ready--
		}
		return ready < 0
	})
}

// checkLedgers compares the executions with the results that the client has got.
func (m *machines) checkLedgers() {
	m.t.Helper()
	executed := executions(m.t, m.ledgers)
	unknown := 0
	for number, e := range m.calls {
		n := executed[number]
		switch {
		case n > 1 && !e.repeatable:
			m.wrong.add("call %d was executed %d times", number, n)
		case n == 0 && e.err == nil:
			m.wrong.add("call %d succeeded, and was not executed", number)
		case n > 0 && !e.sent:
			m.wrong.add("call %d was executed, although none of its attempts was reported as sent", number)
		case n == 1 && e.err != nil:
			unknown++
		}
	}
	m.t.Logf("%d calls, of which %d failed though they had been executed; %d that may be repeated were executed more than once",
		len(m.calls), unknown, duplicates(executed))
}
