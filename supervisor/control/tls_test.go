package control

import (
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor/transport"
	"example.com/crashlab/supervisor/transport/issuer"
)

// certificates creates an authority, and certificates of a server and a client, in a directory.
func certificates(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ca, err := issuer.New(time.Hour)
	for _, step := range []func() error{
		func() error { return err },
		func() error { return ca.Write(dir, "ca") },
		func() error { return ca.Issue(dir, "server", time.Hour, "127.0.0.1", "localhost") },
		func() error { return ca.Issue(dir, "client", time.Hour, "client") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pem(dir, name string) transport.Path { return transport.Path(filepath.Join(dir, name)) }

// serverTLS returns the credentials of a server that requires client certificates.
func serverTLS(t *testing.T, dir string) credentials.TransportCredentials {
	t.Helper()
	s := transport.Server{Cert: pem(dir, "server.crt"), Key: pem(dir, "server.key"), ClientCA: pem(dir, "ca.crt")}
	c, err := s.Credentials(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clientTLS returns credentials that trust the authority in one directory and have the certificate
// in another; empty: they have none.
func clientTLS(t *testing.T, trusts, shows string) credentials.TransportCredentials {
	t.Helper()
	c := transport.Client{CA: pem(trusts, "ca.crt")}
	if shows != "" {
		c.Cert, c.Key = pem(shows, "client.crt"), pem(shows, "client.key")
	}
	found, err := c.Credentials(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestServeByTLS(t *testing.T) {
	ours, others := certificates(t), certificates(t)
	for name, tc := range map[string]struct {
		client credentials.TransportCredentials
		works  bool
	}{
		"ours":         {clientTLS(t, ours, ours), true},
		"without":      {nil, false},
		"no identity":  {clientTLS(t, ours, ""), false},
		"of others":    {clientTLS(t, ours, others), false},
		"not trusting": {clientTLS(t, others, ours), false},
	} {
		l, err := Listen("127.0.0.1:0", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := serveAt(t, l, serverTLS(t, ours), tc.client); (err == nil) != tc.works {
			t.Errorf("%s: got %v, want success %v", name, err, tc.works)
		}
		r := serve(t, "127.0.0.1:0", true, grpc.Creds(serverTLS(t, ours)))
		p := newProber(t)
		p.Credentials = tc.client
		for range 2 {
			if err := p.Health(patient(t), r.addr, ""); (err == nil) != tc.works {
				t.Errorf("%s: health: got %v, want success %v", name, err, tc.works)
			}
		}
		if want := map[bool]int{true: 1}[tc.works]; p.kept() != want {
			t.Errorf("%s: %d connections kept, want %d", name, p.kept(), want)
		}
	}
}
