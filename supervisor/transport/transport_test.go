package transport

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The error of a connection has the underlying cause, and advice, on one line.
func TestMistakesBetweenClientAndServer(t *testing.T) {
	t.Parallel()
	m := must{t}
	ours, others, expired, elsewhere := m.set(), m.set(), t.TempDir(), t.TempDir()
	for dir, hosts := range map[string]struct {
		valid time.Duration
		name  string
	}{expired: {-time.Hour, "127.0.0.1"}, elsewhere: {time.Hour, "elsewhere.test"}} {
		a := m.authority()
		m.do(a.Write(dir, "ca"))
		m.do(a.Issue(dir, "server", hosts.valid, hosts.name))
		m.do(a.Issue(dir, "client", hosts.valid, "client"))
	}
	trusting := func(server Server, dir string) Server {
		server.ClientCA = in(dir, "ca.crt")
		return server
	}
	showing := func(client Client, dir string) Client {
		client.Cert, client.Key = in(dir, "client.crt"), in(dir, "client.key")
		return client
	}
	named := showing(Client{CA: in(elsewhere, "ca.crt"), ServerName: "elsewhere.test"}, elsewhere)
	for name, tc := range map[string]struct {
		server Server
		client Client
		want   []string // nil: the call succeeds
	}{
		"neither":                {Server{}, Client{}, nil},
		"tls":                    {trusting(serverOf(ours), ""), clientOf(ours), nil},
		"mtls":                   {serverOf(ours), clientOf(ours), nil},
		"the name it has":        {serverOf(elsewhere), named, nil},
		"another name":           {serverOf(elsewhere), clientOf(elsewhere), []string{"x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs", "--tls-server-name"}},
		"the name of another":    {serverOf(ours), Client{CA: in(ours, "ca.crt"), ServerName: "x.test"}, []string{"x509: certificate is not valid for any names, but wanted to match x.test", "--tls-server-name"}},
		"wrong CA":               {serverOf(ours), clientOf(others), []string{"x509: certificate signed by unknown authority", "--tls-ca"}},
		"expired server":         {serverOf(expired), clientOf(expired), []string{"x509: certificate has expired or is not yet valid", "want another certificate of the server"}},
		"expired client":         {trusting(serverOf(ours), expired), showing(clientOf(ours), expired), []string{"remote error: tls: expired certificate", "--tls-cert"}},
		"client of others":       {serverOf(ours), showing(clientOf(ours), others), []string{"remote error: tls: unknown certificate authority", "--tls-cert"}},
		"no client certificate":  {serverOf(ours), Client{CA: in(ours, "ca.crt")}, []string{"remote error: tls: certificate required", "--tls-cert and --tls-key"}},
		"plain client":           {serverOf(ours), Client{}, []string{"the server hung up at once: if it wants TLS, give --tls-ca"}},
		"plain server":           {Server{}, clientOf(ours), []string{"tls: first record does not look like a TLS handshake", "leave out the flags --tls"}},
		"the system's authority": {serverOf(ours), Client{CA: SystemCA}, []string{"x509: certificate signed by unknown authority", "--tls-ca"}},
	} {
		if name == "tls" {
			tc.server.ClientCA = ""
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			warn := func(err error) { t.Error(err) }
			creds, err := tc.client.Credentials(warn)
			must{t}.do(err)
			_, err = call(t, serve(t, tc.server, warn), creds)
			if tc.want == nil {
				must{t}.do(err)
				return
			}
			if status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with code %v", err, codes.Unavailable)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want %q in it", err, part)
				}
			}
		})
	}
}

// A server that closes the connection before it sends anything may require TLS.
func TestPlainClientOfAServerThatHangsUp(t *testing.T) {
	creds, err := Client{}.Credentials(nil)
	must{t}.do(err)
	if _, err := call(t, silent(t), creds); err == nil || !strings.Contains(err.Error(), "if it wants TLS, give --tls-ca") {
		t.Errorf("got %v, want advice", err)
	}
}

// HTTPS uses the same certificates, and has the same advice.
func TestHTTPS(t *testing.T) {
	ours, others := must{t}.set(), must{t}.set()
	config, err := serverOf(ours).Config(nil)
	must{t}.do(err)
	l, err := Listen("127.0.0.1:0", false)
	must{t}.do(err)
	server := &http.Server{TLSConfig: config, Handler: http.NotFoundHandler()}
	go server.ServeTLS(l, "", "")
	defer server.Close()
	for client, want := range map[Client]string{
		clientOf(ours):           "",
		clientOf(others):         "x509: certificate signed by unknown authority; want",
		{CA: in(ours, "ca.crt")}: "remote error: tls: certificate required; the server requires",
	} {
		dial, err := client.Dialer(nil)
		must{t}.do(err)
		answer, err := (&http.Client{Transport: &http.Transport{DialTLSContext: dial}}).Get("https://" + l.Addr().String())
		switch {
		case err == nil && want == "":
			answer.Body.Close()
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if dial, err := (Client{}).Dialer(nil); dial != nil || err != nil {
		t.Errorf("without TLS: got a dialer, or %v", err)
	}
}

func TestMistakesOfSettings(t *testing.T) {
	m := must{t}
	dir := m.set()
	write := func(name, text string) Path {
		m.do(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		return in(dir, name)
	}
	cert, err := os.ReadFile(filepath.Join(dir, "server.crt"))
	m.do(err)
	empty, half := write("empty", ""), write("half", string(cert)+string(cert[:len(cert)/2]))
	good, ca := serverOf(dir), in(dir, "ca.crt")
	for _, tc := range []struct {
		of   interface{ check() error }
		want string
	}{
		{Server{Cert: good.Cert}, "--tls-cert: want its key in --tls-key"},
		{Server{Key: good.Key}, "--tls-key: want its certificate in --tls-cert"},
		{Server{ClientCA: ca}, "--tls-client-ca: want --tls-cert and --tls-key with it"},
		{Server{Cert: good.Cert, Key: "missing"}, "--tls-key: open missing: no such file or directory"},
		{Server{Cert: good.Cert, Key: in(dir, "client.key")}, `client.key": tls: private key does not match public key: want the key of "`},
		{Server{Cert: good.Cert, Key: empty}, `empty": tls: failed to find any PEM data in key input: want the key of "`},
		{Server{Cert: empty, Key: empty}, `empty": no certificate: want a certificate in PEM`},
		{Server{Cert: empty, Key: good.Key}, `empty": no certificate: want a certificate in PEM`},
		{Server{Cert: half, Key: good.Key}, `half": the last block is not complete: want a certificate in PEM`},
		{Server{Cert: good.Cert, Key: good.Key, ClientCA: good.Key}, `server.key": a block of type PRIVATE KEY: want certificates in PEM`},
		{Server{Cert: good.Cert, Key: good.Key, ClientCA: Path(dir)}, `--tls-client-ca: ` + dir + `: a directory: want a regular file`},
		{Client{Cert: good.Cert, Key: good.Key}, "--tls-cert: want --tls-ca with it; --tls-ca system stands"},
		{Client{ServerName: "x"}, "--tls-server-name: want --tls-ca with it"},
		{Client{CA: ca, Cert: good.Cert}, "--tls-cert: want its key in --tls-key"},
		{Client{CA: empty}, `--tls-ca: "` + string(empty) + `": no certificate: want certificates in PEM`},
	} {
		err := tc.of.check()
		if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: got %v, want one line with %q", tc.of, err, tc.want)
		}
	}
	if err := new(Path).UnmarshalText(nil); err == nil {
		t.Error("an empty path is allowed")
	}
	if err := new(Name).UnmarshalText(nil); err == nil {
		t.Error("an empty name is allowed")
	}
}

func (s Server) check() error {
	_, err := s.Credentials(nil)
	return err
}

func (c Client) check() error {
	_, err := c.Credentials(nil)
	return err
}

func TestListen(t *testing.T) {
	for addr, local := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "127.0.0.2:0": true, "0.0.0.0:0": false, ":0": false, "[::]:0": false,
	} {
		for _, exposed := range []bool{false, true} {
			l, err := Listen(addr, exposed)
			if err == nil {
				l.Close()
			}
			if allowed := local || exposed; (err == nil) != allowed || !allowed && !errors.Is(err, ErrExposed) {
				t.Errorf("%s, exposed %v: %v, want it allowed: %v", addr, exposed, err, allowed)
			}
		}
	}
	if _, err := Listen("127.0.0.1", true); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v, want the bad address in it", err)
	}
}

// A handshake that does not finish ends with the context.
func TestHandshakeEndsWithItsContext(t *testing.T) {
	l, err := Listen("127.0.0.1:0", false) // connections are not accepted
	must{t}.do(err)
	defer l.Close()
	dial, err := clientOf(must{t}.set()).Dialer(nil)
	must{t}.do(err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := dial(ctx, "tcp", l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}
