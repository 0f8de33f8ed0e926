package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// authority signs certificates for 127.0.0.1 and localhost.
type authority struct {
	t    *testing.T
	dir  string
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert, a.file, _ = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue makes a key and a certificate, and writes them to files.
func (a *authority) issue(name string, c *x509.Certificate) (key *ecdsa.PrivateKey, made *x509.Certificate, certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if made, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, made, a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", private)
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) identity(name string) TLS {
	_, _, cert, key := a.issue(name, &x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return TLS{Cert: cert, Key: key}
}

func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	server, client, stranger := ours.identity("server"), ours.identity("client"), others.identity("client")
	trusting := func(who TLS, a *authority) TLS {
		who.CA = a.file
		return who
	}
	for name, tc := range map[string]struct {
		server, client TLS
		addr           func() string
		works          bool
	}{
		"tls":                    {server, TLS{CA: ours.file}, nil, true},
		"tls, other CA":          {server, TLS{CA: others.file}, nil, false},
		"tls, client without":    {server, TLS{}, nil, false},
		"mtls":                   {trusting(server, ours), trusting(client, ours), nil, true},
		"mtls, no certificate":   {trusting(server, ours), TLS{CA: ours.file}, nil, false},
		"mtls, of another CA":    {trusting(server, ours), trusting(stranger, ours), nil, false},
		"mtls, at a path":        {trusting(server, ours), trusting(client, ours), func() string { return socket(t) }, true},
		"client with, no server": {TLS{}, TLS{CA: ours.file}, nil, false},
	} {
		addr := "127.0.0.1:0"
		if tc.addr != nil {
			addr = tc.addr()
		}
		l, err := Listen(addr, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := serveAt(t, l, tc.server, tc.client); (err == nil) != tc.works {
			t.Errorf("%s: got %v, want success %v", name, err, tc.works)
		}
	}
}

func TestHealthByTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	server := ours.identity("server")
	server.CA = ours.file
	secure, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, "127.0.0.1:0", true, grpc.Creds(secure))
	for name, tc := range map[string]struct {
		client TLS
		works  bool
	}{
		"ours":         {ours.identity("client"), true},
		"without":      {TLS{}, false},
		"no identity":  {TLS{CA: ours.file}, false},
		"of others":    {others.identity("client"), false},
		"not trusting": {TLS{CA: others.file}, false},
	} {
		if tc.works {
			tc.client.CA = ours.file
		}
		p := newProber(t)
		if p.Credentials, err = tc.client.Client(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Health(patient(t), r.addr, ""); (err == nil) != tc.works {
				t.Errorf("%s: got %v, want success %v", name, err, tc.works)
			}
		}
		if want := map[bool]int{true: 1}[tc.works]; p.kept() != want {
			t.Errorf("%s: %d connections kept, want %d", name, p.kept(), want)
		}
	}
}

// A certificate that was renewed is shown from then on.
func TestCertificatesAreReadAgain(t *testing.T) {
	old, young := newAuthority(t), newAuthority(t)
	server := old.identity("server")
	creds, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct{ from, to string }{{young.identity("server").Cert, server.Cert}, {filepath.Join(young.dir, "server.key"), server.Key}} {
		if err := os.Rename(file.from, file.to); err != nil {
			t.Fatal(err)
		}
	}
	trusting, err := TLS{CA: young.file}.Client()
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	go creds.ServerHandshake(there)
	if _, _, err := trusting.ClientHandshake(patient(t), "localhost", here); err != nil {
		t.Errorf("by the new authority: %v", err)
	}
}

func TestBadTLSFiles(t *testing.T) {
	a := newAuthority(t)
	good := a.identity("x")
	noPEM := filepath.Join(a.dir, "empty")
	if err := os.WriteFile(noPEM, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		files TLS
		want  string
	}{
		{TLS{CA: a.file}, "want a certificate and its key"},
		{TLS{Cert: good.Cert}, "want a certificate and its key"},
		{TLS{Cert: good.Cert, Key: noPEM}, noPEM},
		{TLS{Cert: good.Cert, Key: good.Key, CA: noPEM}, "want a file with a certificate in PEM"},
		{TLS{Cert: good.Cert, Key: good.Key, CA: "missing"}, "open missing"},
	} {
		if _, err := tc.files.Server(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.files, err, tc.want)
		}
	}
	if _, err := (TLS{Cert: good.Cert}).Client(); err == nil || !strings.Contains(err.Error(), "want both or neither") {
		t.Errorf("got %v", err)
	}
}
