package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"example.com/crashlab/supervisor/transport/issuer"
)

// must has helpers that fail the test on an error.
type must struct{ t *testing.T }

func (m must) do(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m must) authority() *issuer.Authority {
	m.t.Helper()
	a, err := issuer.New(time.Hour)
	m.do(err)
	return a
}

// fill writes an authority, and certificates of a server on loopback and a client, to a directory.
func (m must) fill(dir string, a *issuer.Authority) {
	m.t.Helper()
	m.do(a.Write(dir, "ca"))
	m.do(a.Issue(dir, "server", time.Hour, "127.0.0.1"))
	m.do(a.Issue(dir, "client", time.Hour, "client"))
}

// set fills a new directory by a new authority.
func (m must) set() string {
	m.t.Helper()
	dir := m.t.TempDir()
	m.fill(dir, m.authority())
	return dir
}

func in(dir, name string) Path { return Path(filepath.Join(dir, name)) }

func serverOf(dir string) Server {
	return Server{Cert: in(dir, "server.crt"), Key: in(dir, "server.key"), ClientCA: in(dir, "ca.crt")}
}

func clientOf(dir string) Client {
	return Client{CA: in(dir, "ca.crt"), Cert: in(dir, "client.crt"), Key: in(dir, "client.key")}
}

// warnings collects warnings about renewed files.
type warnings struct {
	mu   sync.Mutex
	errs []error
}

func (w *warnings) add(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

func (w *warnings) all() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errs
}

// serve serves grpc.health.v1, and returns the address.
func serve(t *testing.T, s Server, warn func(error)) string {
	t.Helper()
	c, err := s.Credentials(warn)
	must{t}.do(err)
	l, err := Listen("127.0.0.1:0", false)
	must{t}.do(err)
	server := grpc.NewServer(grpc.Creds(c))
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// call makes a call on a new connection. It returns the serial number of the server's certificate.
func call(t *testing.T, addr string, c credentials.TransportCredentials) (serial string, err error) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(c))
	must{t}.do(err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var p peer.Peer
	if _, err = healthv1.NewHealthClient(conn).Check(ctx, new(healthv1.HealthCheckRequest), grpc.Peer(&p)); err != nil {
		return "", err
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		serial = info.State.PeerCertificates[0].SerialNumber.String()
	}
	return serial, nil
}

// serialOf returns the serial number of a certificate.
func serialOf(t *testing.T, path Path) string {
	t.Helper()
	text, err := os.ReadFile(string(path))
	must{t}.do(err)
	all, err := certificates(string(text))
	must{t}.do(err)
	return all[0].SerialNumber.String()
}

// silent returns the address of a server that closes connections at once.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must{t}.do(err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				conn.Close()
			}
		}
	}()
	return l.Addr().String()
}
