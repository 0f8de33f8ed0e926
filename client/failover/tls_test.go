package failover_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// authority is a certificate authority.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert = &x509.Certificate{
		Subject:               pkix.Name{CommonName: "authority"},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	cert := a.sign(a.cert)
	a.key = cert.PrivateKey.(*ecdsa.PrivateKey)
	a.cert = cert.Leaf
	a.pool.AddCert(cert.Leaf)
	return a
}

// issue returns a certificate for one host, or for a client of that name.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name},
		NotAfter:    time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// sign returns a certificate for a new key, signed by the authority, or self-signed if the
// authority has no key yet.
func (a *authority) sign(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// secured holds TLS servers by their addresses.
type secured map[string]*bufconn.Listener

// serve adds a server. It stores the name in the client's certificate in *client, unless that is
// nil.
func (s secured) serve(t *testing.T, addr string, config *tls.Config, client *string) {
	t.Helper()
	r := &replica{handle: func(ctx context.Context) error {
		p, _ := peer.FromContext(ctx)
		if certs := p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates; client != nil && len(certs) > 0 {
			*client = certs[0].Subject.CommonName
		}
		return nil
	}}
	s[addr] = bufconn.Listen(64 << 10)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	healthv1.RegisterHealthServer(server, r)
	go server.Serve(s[addr])
	t.Cleanup(server.Stop)
}

func (s secured) connect(t *testing.T, target string, p failover.Policy, config *tls.Config, opts ...grpc.DialOption) *failover.Client {
	t.Helper()
	conn, err := failover.NewClient(target, repeatable(p), append([]grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return s[addr].DialContext(ctx) }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// verifiedAs makes a call, and returns the name for which the client verified the replica's
// certificate.
func verifiedAs(t *testing.T, conn grpc.ClientConnInterface) string {
	t.Helper()
	var p peer.Peer
	if attempts, err := call(t.Context(), conn, grpc.Peer(&p)); err != nil || len(attempts) != 1 {
		t.Fatalf("%q: %v", path(attempts), err)
	}
	return p.AuthInfo.(credentials.TLSInfo).State.ServerName
}

// checkHosts checks that the target's replicas are verified as a.test and b.test.
func (s secured) checkHosts(t *testing.T, target string, ca *authority, opts ...grpc.DialOption) {
	t.Helper()
	settled := make(chan failover.ReplicaState, 2)
	conn := s.connect(t, target, failover.Policy{Order: failover.OrderRoundRobin, OnReplica: func(e failover.ReplicaEvent) {
		if e.State == failover.ReplicaReady || e.State == failover.ReplicaDown {
			settled <- e.State
		}
	}}, &tls.Config{RootCAs: ca.pool}, opts...)
	conn.Connect()
	for range 2 {
		if state := <-settled; state != failover.ReplicaReady {
			t.Fatalf("a replica is %v, want it ready", state)
		}
	}
	got := []string{verifiedAs(t, conn), verifiedAs(t, conn)}
	slices.Sort(got)
	if want := []string{"a.test", "b.test"}; !slices.Equal(got, want) {
		t.Errorf("checked for %q, want %q", got, want)
	}
}

// Each replica of a static target is verified by its own host name.
func TestTLSOfAStaticTarget(t *testing.T) {
	t.Parallel()
	ca, s := newAuthority(t), secured{}
	for _, host := range []string{"a.test", "b.test"} {
		s.serve(t, host+":443", &tls.Config{Certificates: []tls.Certificate{ca.issue(host)}}, nil)
	}
	s.checkHosts(t, "static:///a.test:443,b.test:443", ca)
}

// Each replica is verified by the server name from the resolver, whatever its address.
func TestTLSServerNameOfTheResolver(t *testing.T) {
	t.Parallel()
	ca, s := newAuthority(t), secured{}
	var state resolver.State
	for addr, name := range map[string]string{"10.0.0.1:443": "a.test", "10.0.0.2:443": "b.test"} {
		s.serve(t, addr, &tls.Config{Certificates: []tls.Certificate{ca.issue(name)}}, nil)
		ep := resolver.Endpoint{Addresses: []resolver.Address{{Addr: addr, ServerName: name}}}
		state.Endpoints = append(state.Endpoints, ep)
	}
	m := manual.NewBuilderWithScheme("test")
	m.InitialState(state)
	s.checkHosts(t, "test:///counter.test", ca, grpc.WithResolvers(m))
}

// A replica with the certificate of another host gets no request: the call fails over, and the
// error of the attempt says why.
func TestTLSWrongCertificate(t *testing.T) {
	t.Parallel()
	ca, s := newAuthority(t), secured{}
	s.serve(t, "a.test:443", &tls.Config{Certificates: []tls.Certificate{ca.issue("other.test")}}, nil)
	s.serve(t, "b.test:443", &tls.Config{Certificates: []tls.Certificate{ca.issue("b.test")}}, nil)
	tried := make(chan struct{})
	triedOnce := sync.OnceFunc(func() { close(tried) })
	config := &tls.Config{RootCAs: ca.pool}
	conn := s.connect(t, "static:///a.test:443,b.test:443", failover.Policy{
		OnAttempt: func(context.Context, string, failover.Attempt) { triedOnce() },
	}, config, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		if addr == "b.test:443" {
			<-tried // so that a is tried first
		}
		return s[addr].DialContext(ctx)
	}))
	attempts, err := call(t.Context(), conn)
	if err != nil || path(attempts) != "a.test:443 refused, b.test:443 ok sent" {
		t.Fatalf("got %q, %v, want a.test:443 refused, b.test:443 ok sent", path(attempts), err)
	}
	checkWrongHost(t, attempts[0].Err)

	_, err = call(t.Context(), s.connect(t, "static:///a.test:443", failover.Policy{}, config))
	var failed *failover.Error
	if !errors.As(err, &failed) || status.Code(err) != codes.Unavailable {
		t.Fatalf("got %v, want an Error with %v", err, codes.Unavailable)
	}
	checkWrongHost(t, failed)
}

func checkWrongHost(t *testing.T, err error) {
	t.Helper()
	var host x509.HostnameError
	if !errors.As(err, &host) || host.Host != "a.test" || !strings.Contains(err.Error(), host.Error()) {
		t.Errorf("got %v, want the certificate of another host in it", err)
	}
}

// With mTLS the replica sees the client's certificate. A client without one is refused, and its
// error says so.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ca, s := newAuthority(t), secured{}
	var client string
	s.serve(t, "a.test:443", &tls.Config{
		Certificates: []tls.Certificate{ca.issue("a.test")},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca.pool,
		MaxVersion:   tls.VersionTLS12, // in which the client's handshake fails if the server refuses the client
	}, &client)
	config := &tls.Config{RootCAs: ca.pool}
	_, err := call(t.Context(), s.connect(t, "static:///a.test:443", failover.Policy{}, config))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "remote error: tls: handshake failure") {
		t.Errorf("without a certificate: got %v, want Unavailable, and why", err)
	}
	config = &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.issue("caller")}}
	if verifiedAs(t, s.connect(t, "static:///a.test:443", failover.Policy{}, config)); client != "caller" {
		t.Errorf("the replica saw the client %q, want caller", client)
	}
}
