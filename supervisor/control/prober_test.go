package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// replica is a gRPC server that counts its connections.
type replica struct {
	net.Listener
	addr   string
	server *grpc.Server
	health *health.Server // nil: it has no health service

	accepted atomic.Int64
	closed   chan struct{} // receives a value for each closed connection
}

func (r *replica) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r.accepted.Add(1)
	return &counted{Conn: conn, closed: sync.OnceFunc(func() { r.closed <- struct{}{} })}, nil
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// serve runs a server at an address until the test ends.
func serve(t testing.TB, addr string, healthy bool, opts ...grpc.ServerOption) *replica {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Listener: l, addr: l.Addr().String(), server: grpc.NewServer(opts...), closed: make(chan struct{}, 1000)}
	if healthy {
		r.health = health.NewServer()
		healthv1.RegisterHealthServer(r.server, r.health)
	}
	go r.server.Serve(r)
	t.Cleanup(r.server.Stop)
	return r
}

// kept returns the number of kept connections.
func (p *Prober) kept() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.clients)
}

func newProber(t testing.TB) *Prober {
	p := new(Prober)
	t.Cleanup(p.Close)
	return p
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestHealthIsWhatTheServiceSays(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	r.health.SetServingStatus("down", healthv1.HealthCheckResponse_NOT_SERVING)
	for _, tc := range []struct{ addr, service, want string }{
		{r.addr, "", ""},
		{r.addr, "down", "it says NOT_SERVING"},
		{r.addr, "other", `it does not know the service "other"`},
		{serve(t, "127.0.0.1:0", false).addr, "", "it has no grpc.health.v1 service: register one, or probe by TCP"},
		{free(t), "", "connection refused"},
	} {
		for range 2 { // on a new connection and on a kept one
			err := p.Health(patient(t), tc.addr, tc.service)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tc.want)) {
				t.Errorf("service %q at %s: %v, want %q", tc.service, tc.addr, err, tc.want)
			}
		}
	}
	if n := r.accepted.Load(); n != 1 {
		t.Errorf("%d connections for all probes, want 1", n)
	}
}

// free returns an address at which no process listens, and which no other process gets until the
// test ends. On Linux, a listener can use the address of a socket that is bound and does not
// listen, if both set SO_REUSEADDR, as Go does.
func free(t testing.TB) string {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
	); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

// The first probe of an incarnation that listens succeeds, whatever the result of earlier ones,
// before it was launched or of the incarnation before it.
func TestHealthAtOnceAfterRelaunch(t *testing.T) {
	p, addr := newProber(t), free(t)
	for i := range 20 {
		for range 3 {
			if err := p.Health(patient(t), addr, ""); err == nil {
				t.Fatal("health without a server")
			}
		}
		r := serve(t, addr, true)
		for range 2 {
			if err := p.Health(patient(t), addr, ""); err != nil {
				t.Fatalf("incarnation %d: %v", i, err)
			}
		}
		r.server.Stop()
		r = serve(t, addr, true)
		if err := p.Health(patient(t), addr, ""); err != nil {
			t.Fatalf("incarnation %d, relaunched before it was probed: %v", i, err)
		}
		r.server.Stop()
	}
}

// A probe of a server that accepts and never answers ends with its context.
func TestHealthEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newProber(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := p.Health(ctx, l.Addr().String(), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if n := p.kept(); n != 0 {
		t.Errorf("%d connections kept, want none", n)
	}
}

func TestClosedProberKeepsNothing(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	p.Close()
	if err := p.Health(patient(t), r.addr, ""); err != nil || p.kept() != 0 {
		t.Errorf("after Close: %v and %d kept, want success and none", err, p.kept())
	}
}

func TestIdleClientsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Prober
		c, _ := p.take("nowhere:1")
		close(c.connected)       // without success
		time.Sleep(2 * keepIdle) // it is in use, and therefore kept
		p.release("nowhere:1", c, true)
		time.Sleep(keepIdle - time.Second)
		synctest.Wait()
		if n := p.kept(); n != 1 {
			t.Errorf("%d kept a second before %v, want 1", n, keepIdle)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := p.kept(); n != 0 {
			t.Errorf("%d kept after %v, want none", n, keepIdle)
		}
	})
}

// Concurrent probes share a connection, which Close closes.
func TestConcurrentProbes(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	ctx := patient(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := p.Health(ctx, r.addr, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := r.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	p.Close()
	select {
	case <-r.closed:
	case <-ctx.Done():
		t.Error("the connection was not closed")
	}
	noClients(t)
}

// noClients waits until no goroutine of a gRPC client runs.
func noClients(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for ctx := patient(t); ; {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(all, "http2Client") && !strings.Contains(all, "grpc.(*addrConn)") && !strings.Contains(all, "CallbackSerializer") {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("goroutines are left:\n%s", all)
		case <-time.After(time.Millisecond):
		}
	}
}

// A probe that fails leaves no connection.
func TestFailedProbesKeepNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := newProber(t)
	for _, addr := range []string{free(t), silent.Addr().String()} {
		ctx, cancel := context.WithTimeout(patient(t), 50*time.Millisecond)
		defer cancel()
		if err := p.Health(ctx, addr, ""); err == nil {
			t.Errorf("%s: health without a server", addr)
		}
	}
	if n := p.kept(); n != 0 {
		t.Errorf("%d clients kept, want none", n)
	}
	noClients(t)
}

// A lack of descriptors in this process can be told from a failure of the replica.
func TestLocalErrorsAreRecognized(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := p.Health(patient(t), r.addr, "")
	if back := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %v, want %v", err, syscall.EMFILE)
	}
	if err := p.Health(patient(t), r.addr, ""); err != nil {
		t.Errorf("with descriptors: %v", err)
	}
}

func TestServerWithoutHTTP2(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	if err := newProber(t).Health(patient(t), l.Addr().String(), ""); err == nil || !strings.HasPrefix(err.Error(), "no answer: ") {
		t.Errorf("got %v, want no answer", err)
	}
}

// Kept connections do not delay a server that stops gracefully.
func TestKeptConnectionsDoNotHoldUpGracefulStop(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	if err := p.Health(patient(t), r.addr, ""); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { r.server.GracefulStop(); close(gone) }()
	select {
	case <-gone:
	case <-patient(t).Done():
		t.Error("a kept connection delays GracefulStop")
	}
}
