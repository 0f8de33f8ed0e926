package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/transport"
)

func TestListenRefusesExposedAddresses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		l, err := Listen(addr, false)
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, transport.ErrExposed) || !strings.Contains(err.Error(), fmt.Sprintf("%q", addr)) {
			t.Errorf("%s: %v, want ErrExposed that names it", addr, err)
		}
		l, err = Listen(addr, true)
		if err != nil {
			t.Errorf("%s, said outright: %v", addr, err)
			continue
		}
		l.Close()
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.0.0.2:0"} {
		l, err := Listen(addr, false)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		l.Close()
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addr := range []string{"", "7100", "127.0.0.1", "127.0.0.1:", "unix://x.sock", "unix:x", "unix:///" + strings.Repeat("x", 200)} {
		_, err := Listen(addr, true)
		_, clientErr := NewClient(addr, nil)
		if err == nil || clientErr == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q: want", addr)) || err.Error() != clientErr.Error() {
			t.Errorf("%q: %v and %v, want what is allowed", addr, err, clientErr)
		}
	}
	for _, addr := range []string{"127.0.0.1:99999", "127.0.0.1:x"} {
		if _, err := Listen(addr, true); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestListenSaysThatAnAddressIsInUse(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", socket(t)} {
		l, err := Listen(addr, false)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if addr == "127.0.0.1:0" {
			addr = l.Addr().String()
		}
		if _, err := Listen(addr, false); err == nil || !strings.Contains(err.Error(), "another process listens there") {
			t.Errorf("%s: %v, want that it is in use", addr, err)
		}
		conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Errorf("who was there first has lost %s: %v", addr, err)
			continue
		}
		conn.Close()
	}
}

// socket returns the address of a socket that does not exist yet.
func socket(t *testing.T) string {
	dir, err := os.MkdirTemp("", "control") // shorter than t.TempDir, because paths of sockets are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return "unix://" + filepath.Join(dir, "s")
}

// abandoned returns the address of a socket that a killed process has left.
func abandoned(t *testing.T) string {
	addr := socket(t)
	l, err := Listen(addr, false)
	if err != nil {
		t.Fatal(err)
	}
	l.(*guarded).SetUnlinkOnClose(false)
	l.Close()
	return addr
}

func TestListenAtAPath(t *testing.T) {
	addr := abandoned(t)
	l, err := Listen(addr, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := strings.TrimPrefix(addr, "unix://")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode().Perm(), err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v, want nothing", err)
	}
}

func TestListenLeavesOtherFilesAlone(t *testing.T) {
	addr := socket(t)
	path := strings.TrimPrefix(addr, "unix://")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(addr, false); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("got %v, want a refusal", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// A socket is not removed if it is unknown whether a process reads from it.
func TestListenLeavesOtherSocketsAlone(t *testing.T) {
	addr := socket(t)
	path := strings.TrimPrefix(addr, "unix://")
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := Listen(addr, false); err == nil || !strings.Contains(err.Error(), "it is unknown") {
		t.Errorf("got %v, want a refusal", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket: %v", err)
	}
}

// serveAt serves a supervisor without replicas, and calls it. Without credentials, connections are
// not secured.
func serveAt(t *testing.T, l net.Listener, server, client credentials.TransportCredentials) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := Server{Supervisor: new(supervisor.Supervisor), Credentials: server}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	addr := l.Addr().String()
	if l.Addr().Network() == "unix" {
		addr = "unix://" + addr
	}
	conn, err := NewClient(addr, client)
	if err != nil {
		t.Fatal(err)
	}
	_, err = supervisorv1.NewSupervisorClient(conn).List(patient(t), &supervisorv1.ListRequest{})
	conn.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	return err
}

func TestServeAtAPath(t *testing.T) {
	l, err := Listen(socket(t), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := serveAt(t, l, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestStrangersAreCutOff(t *testing.T) {
	l, err := Listen(socket(t), false)
	if err != nil {
		t.Fatal(err)
	}
	l.(*guarded).permitted = func(*net.UnixConn) bool { return false }
	if err := serveAt(t, l, nil, nil); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
}

// If no process listens, a call fails at once.
func TestClientFailsAtOnce(t *testing.T) {
	conn, err := NewClient(abandoned(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = supervisorv1.NewSupervisorClient(conn).List(patient(t), &supervisorv1.ListRequest{})
	if status.Code(err) != codes.Unavailable { // it would be DEADLINE_EXCEEDED if the call waited
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
}
