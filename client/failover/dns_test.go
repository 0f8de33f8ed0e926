package failover_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver/dns"
)

// nameserver is a DNS server (RFC 1035) that returns the same addresses for any name.
type nameserver struct {
	conn net.PacketConn
	mu   sync.Mutex
	ips  []net.IP
}

func newNameserver(t *testing.T, ips ...net.IP) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameserver{conn: conn, ips: ips}
	go s.serve()
	return s
}

func (s *nameserver) set(ips ...net.IP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ips = ips
}

func (s *nameserver) serve() {
	buf := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		if reply := s.answer(buf[:n]); reply != nil {
			s.conn.WriteTo(reply, from)
		}
	}
}

// answer returns the reply to a query with one question, or nil for anything else.
func (s *nameserver) answer(query []byte) []byte {
	const header = 12
	if len(query) < header {
		return nil
	}
	name := bytes.IndexByte(query[header:], 0) + 1
	end := header + name + 4 // behind the question's type and class
	if name == 0 || len(query) < end {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ips := s.ips
	if kind := binary.BigEndian.Uint16(query[header+name:]); kind != 1 {
		ips = nil // the question is not for IPv4 addresses
	}
	reply := append([]byte{}, query[:2]...)
	reply = append(reply, 0x81, 0x80, 0, 1, 0, byte(len(ips)), 0, 0, 0, 0) // no error; one question, len(ips) records
	reply = append(reply, query[header:end]...)
	for _, ip := range ips {
		reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the question's name; A, IN, a TTL of 0, 4 bytes
		reply = append(reply, ip.To4()...)
	}
	return reply
}

// breakable is a listener that can break the connections it has accepted.
type breakable struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *breakable) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

// breakAll breaks the connections. The listener stays open, so that no other process gets the port.
func (l *breakable) breakAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// loopbacks are servers on the same port at 127.0.0.1, 127.0.0.2 and so on.
type loopbacks struct {
	port      int
	hosts     []*replica
	listeners []*breakable
}

func (l *loopbacks) ip(i int) net.IP   { return net.IPv4(127, 0, 0, byte(i+1)) }
func (l *loopbacks) addr(i int) string { return net.JoinHostPort(l.ip(i).String(), fmt.Sprint(l.port)) }

// newLoopbacks starts n servers on a port that is free at all addresses.
func newLoopbacks(t *testing.T, n int) *loopbacks {
	t.Helper()
	var l *loopbacks
	for l == nil {
		l = listenAtOnePort(t, n, 20000+rand.N(12000))
	}
	for i, lis := range l.listeners {
		l.hosts = append(l.hosts, new(replica))
		server := grpc.NewServer()
		healthv1.RegisterHealthServer(server, l.hosts[i])
		go server.Serve(lis)
		t.Cleanup(server.Stop)
	}
	return l
}

// listenAtOnePort returns nil if the port is in use.
func listenAtOnePort(t *testing.T, n, port int) *loopbacks {
	t.Helper()
	l := &loopbacks{port: port}
	for i := range n {
		lis, err := net.Listen("tcp", l.addr(i))
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Skipf("this system has only one address on loopback: %v", err)
		}
		if err != nil {
			for _, taken := range l.listeners {
				taken.Close()
			}
			return nil
		}
		l.listeners = append(l.listeners, &breakable{Listener: lis})
	}
	return l
}

// history records the events of a connection.
type history struct {
	t      *testing.T
	events chan failover.ReplicaEvent
	seen   map[failover.ReplicaEvent]int
}

func newHistory(t *testing.T) *history {
	return &history{t, make(chan failover.ReplicaEvent, 100), map[failover.ReplicaEvent]int{}}
}

// await returns when the event has occurred so many times in total.
func (h *history) await(addr string, state failover.ReplicaState, times int) {
	h.t.Helper()
	timeout := time.After(5 * time.Minute) // which only a hang can reach
	for want := (failover.ReplicaEvent{Replica: addr, State: state}); h.seen[want] < times; {
		select {
		case e := <-h.events:
			h.seen[e]++
		case <-timeout:
			h.t.Fatalf("%s was %v %d times, want %d", addr, state, h.seen[want], times)
		}
	}
}

// The loss of any connection makes gRPC resolve the name again. A new record is then called and a
// removed one is not, and neither a call nor an attempt is lost at the replica that left.
func TestDNSRecordsComeAndGo(t *testing.T) {
	t.Parallel()
	dns.SetMinResolutionInterval(10 * time.Millisecond)
	t.Cleanup(func() { dns.SetMinResolutionInterval(30 * time.Second) }) // gRPC's default
	l, h := newLoopbacks(t, 3), newHistory(t)
	for _, r := range l.hosts {
		r.handle = sleep(10 * ms)
	}
	names := newNameserver(t, l.ip(0), l.ip(1))
	conn, err := failover.NewClient(fmt.Sprintf("dns://%v/counter.test:%d", names.conn.LocalAddr(), l.port),
		repeatable(failover.Policy{
			Rounds: 3, Order: failover.OrderRoundRobin, OnReplica: func(e failover.ReplicaEvent) { h.events <- e },
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.Connect()
	h.await(l.addr(0), failover.ReplicaReady, 1)
	h.await(l.addr(1), failover.ReplicaReady, 1)

	var lost atomic.Int64
	stop := callers(t, conn, func(attempts []failover.Attempt) {
		for _, a := range attempts {
			if a.Replica == l.addr(1) && a.Sent && a.Outcome != failover.OutcomeOK {
				lost.Add(1)
			}
		}
	})
	names.set(l.ip(0), l.ip(1), l.ip(2))
	l.listeners[0].breakAll()
	h.await(l.addr(0), failover.ReplicaReady, 2)
	h.await(l.addr(2), failover.ReplicaReady, 1)

	names.set(l.ip(0), l.ip(2))
	l.listeners[0].breakAll()
	h.await(l.addr(1), failover.ReplicaGone, 1)
	h.await(l.addr(0), failover.ReplicaReady, 3)
	stop()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d attempts lost at the replica that left", n)
	}
	for i, want := range []bool{true, false, true} {
		before := l.hosts[i].served.Load()
		for range 10 {
			call(t.Context(), conn)
		}
		if got := l.hosts[i].served.Load() > before; got != want {
			t.Errorf("%s is called: %v, want %v", l.addr(i), got, want)
		}
	}
}
