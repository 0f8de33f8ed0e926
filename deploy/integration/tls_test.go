package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

// certs is a directory of certificates as Kubernetes mounts it: its files are links below ..data, a
// link that is replaced.
type certs struct {
	t    *testing.T
	dir  string
	sets int
}

func newCerts(t *testing.T, args ...string) *certs {
	t.Helper()
	dir, err := os.MkdirTemp(lab, "certs")
	if err != nil {
		t.Fatal(err)
	}
	c := &certs{t: t, dir: dir}
	c.renew(args...)
	for _, name := range []string{"ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"} {
		c.do(os.Symlink(filepath.Join("..data", name), c.path(name)))
	}
	return c
}

func (c *certs) do(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *certs) path(name string) string { return filepath.Join(c.dir, name) }

// renew writes a new set of certificates, signed by the same authority unless args say otherwise,
// and replaces the link.
func (c *certs) renew(args ...string) {
	c.t.Helper()
	c.sets++
	name := fmt.Sprintf("..%d", c.sets)
	if c.sets > 1 {
		c.do(os.CopyFS(c.path(name), os.DirFS(c.path("..data"))))
	}
	c.make(c.path(name), args...)
	c.do(os.Symlink(name, c.path("..new")))
	c.do(os.Rename(c.path("..new"), c.path("..data")))
}

// make writes a set to a directory.
func (c *certs) make(dir string, args ...string) {
	c.t.Helper()
	if code, _, stderr := run(c.t, "certs", append(args, "-o", dir)...); code != 0 {
		c.t.Fatalf("certs: exit code %d, %s", code, stderr)
	}
}

// server returns the flags of a server that requires client certificates.
func (c *certs) server() []string {
	return []string{"--tls-cert=" + c.path("server.crt"), "--tls-key=" + c.path("server.key"), "--tls-client-ca=" + c.path("ca.crt")}
}

// client returns the flags of a client with a certificate.
func (c *certs) client() []string {
	return []string{"--tls-ca=" + c.path("ca.crt"), "--tls-cert=" + c.path("client.crt"), "--tls-key=" + c.path("client.key")}
}

// credentials returns those of a client, from the current files.
func (c *certs) credentials() credentials.TransportCredentials { return credentials.NewTLS(c.config()) }

func (c *certs) config() *tls.Config {
	ca, err := os.ReadFile(c.path("ca.crt"))
	c.do(err)
	pair, err := tls.LoadX509KeyPair(c.path("client.crt"), c.path("client.key"))
	c.do(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}
}

// shown returns the serial number of the certificate of the server at an address.
func (c *cluster) shown(addr string) string {
	c.t.Helper()
	conn := c.dialAt(addr)
	defer conn.Close()
	var p peer.Peer
	if _, err := healthv1.NewHealthClient(conn).Check(patiently(c.t), new(healthv1.HealthCheckRequest), grpc.Peer(&p), grpc.WaitForReady(true)); err != nil {
		c.t.Fatal(err)
	}
	return p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates[0].SerialNumber.String()
}

// Certificates are renewed while a cluster with mTLS on all connections is under load and its
// replicas are restarted. No call fails, and running processes use the new certificates.
func TestCertificatesAreRenewedUnderLoad(t *testing.T) {
	long(t, "restarts of all replicas, four times")
	t.Parallel()
	set := newCerts(t)
	c := launchSecured(t, 3, set.credentials, slices.Concat(
		[]string{"--stop-timeout=1m", "--replicas=3", "--restart-delay=50ms", "--ready=grpc", withControl}, set.server(), []string{"--tls-ca=" + set.path("ca.crt")},
		[]string{"--", "bin/counterd", "--addr={addr}", "--replica={name}", "--log-json", "--service-time=20ms"}, set.server()))
	ctl := func(args ...string) {
		t.Helper()
		if code, _, stderr := run(t, "supervisor", slices.Concat([]string{"ctl", "--control=" + c.control}, set.client(), args)...); code != 0 {
			t.Fatalf("ctl %s: exit code %d, %s", args, code, stderr)
		}
	}
	load := start(t, "crashlab", slices.Concat([]string{"load", "-c4", "--duration=24h", "--order=round-robin", "--when-down=wait",
		"--timeout=0s", "--target=" + c.target()}, set.client())...)
	served := func() {
		t.Helper()
		for i, addr := range c.addrs {
			before, seen := len(load.stdout.all()), 0
			load.await(&load.stdout, "call served by replica "+letter(i), func(line string) bool {
				seen++
				return seen > before && strings.HasPrefix(line, "Request ") && strings.Contains(line, " served by "+addr+" ")
			})
		}
	}
	served()
	for _, step := range []struct {
		name  string
		renew func()
	}{
		{"link replaced", func() { set.renew() }},
		{"another authority", func() { set.renew("-new-ca") }},
		{"files renamed", func() { set.make(set.dir) }},
	} {
		before := c.shown(c.control)
		step.renew()
		now := c.shown(c.control)
		if now == before {
			t.Fatalf("%s: the control service shows the old certificate", step.name)
		}
		for i, addr := range c.addrs {
			if got := c.shown(addr); got != now {
				t.Fatalf("%s: replica %s shows certificate %s, want %s", step.name, letter(i), got, now)
			}
		}
		ctl("rolling-restart", "--all", "--wait=2m") // each replica must pass its probe
		served()
	}
	ctl("signal", "kill", "--all")
	served()
	load.signal(os.Interrupt)
	if code := load.exitCode(); code != 130 {
		t.Errorf("exit code %d of the load, want 130", code)
	}
	if r := parseReport(t, load.stdout.String()); r.failed != 0 || r.succeeded == 0 {
		t.Errorf("%d calls succeeded and %d failed, want no failures", r.succeeded, r.failed)
	}
}

// Metrics are served over TLS, and HTTP probes use it: here the replica is itself a supervisor with
// metrics.
func TestMetricsAndProbesByTLS(t *testing.T) {
	t.Parallel()
	set := newCerts(t)
	base := freePorts(t, 1)
	bin, err := filepath.Abs(filepath.Join(lab, "bin", "supervisor"))
	set.do(err)
	command := slices.Concat([]string{bin, "--metrics-addr={addr}", "--replicas=1"}, set.server(), []string{"--", "sleep", "1000"})
	p := start(t, "supervisor", "--config", write(t, fmt.Sprintf("replicas: 1\nbase_port: %d\nready: {kind: http, path: /metrics}\n"+
		"tls: {ca: %q, cert: %q, key: %q}\ncommand: [%s]\n", base, set.path("ca.crt"), set.path("client.crt"), set.path("client.key"), quoted(command))))
	p.await(&p.stderr, "replica that is ready", func(line string) bool { return strings.Contains(line, "ready: replica=a") })
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: set.config()}}
	answer, err := client.Get("https://" + addr(base) + "/metrics")
	set.do(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("got %s, want metrics", answer.Status)
	}
	if _, err := http.Get("https://" + addr(base) + "/metrics"); err == nil {
		t.Error("a client without certificates gets metrics")
	}
	p.signal(os.Interrupt)
	if code := p.exitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// quoted returns a list of YAML strings.
func quoted(all []string) string {
	var list []string
	for _, text := range all {
		list = append(list, fmt.Sprintf("%q", text))
	}
	return strings.Join(list, ", ")
}

// startServer runs a program, and waits until it listens.
func startServer(t *testing.T, program string, args ...string) {
	t.Helper()
	p := start(t, program, args...)
	p.await(&p.stderr, "line that it listens or has launched", func(line string) bool {
		return strings.Contains(line, "listening") || strings.Contains(line, "launched")
	})
}

// Mistakes with TLS are reported on one line, with the underlying cause and advice.
func TestTLSMistakes(t *testing.T) {
	t.Parallel()
	ours, others, expired := newCerts(t), newCerts(t), newCerts(t, "-valid=-1h")
	base := freePorts(t, 6)
	secured, plain, old, control := addr(base), addr(base+1), addr(base+2), addr(base+3)
	startServer(t, "counterd", append(ours.server(), fmt.Sprintf("--addr=0.0.0.0:%d", base+4))...)
	startServer(t, "counterd", "--insecure", fmt.Sprintf("--addr=0.0.0.0:%d", base+5))
	startServer(t, "counterd", append(ours.server(), "--addr="+secured)...)
	startServer(t, "counterd", "--addr="+plain)
	startServer(t, "counterd", append(expired.server(), "--addr="+old)...)
	startServer(t, "supervisor", append(ours.server(), "--replicas=1", "--control="+control, "--", "sleep", "1000")...)
	const get, ctl = "crashlab get --rounds=1 --timeout=2m --target=", "supervisor ctl list --control="
	for name, tt := range map[string]struct {
		command string
		flags   []string
		code    int
		want    []string // parts of the line; nil: it succeeds
	}{
		"ours":                          {get + secured, ours.client(), 0, nil},
		"ctl: ours":                     {ctl + control, ours.client(), 0, nil},
		"wrong CA":                      {get + secured, others.client(), 1, []string{"x509: certificate signed by unknown authority", "--tls-ca"}},
		"ctl: wrong CA":                 {ctl + control, others.client(), 1, []string{"x509: certificate signed by unknown authority", "--tls-ca"}},
		"expired":                       {get + old, expired.client(), 1, []string{"x509: certificate has expired or is not yet valid", "want another certificate of the server"}},
		"our own expired":               {get + secured, append(expired.client(), ours.client()[0]), 1, []string{"tls: expired certificate", "--tls-cert"}},
		"another name":                  {get + secured, append(ours.client(), "--tls-server-name=x.test"), 1, []string{"x509: certificate is valid for localhost, ", "not x.test", "--tls-server-name"}},
		"ctl: another name":             {ctl + control, append(ours.client(), "--tls-server-name=x.test"), 1, []string{"x509: certificate is valid for localhost, ", "not x.test", "--tls-server-name"}},
		"no certificate":                {get + secured, ours.client()[:1], 1, []string{"tls: certificate required", "--tls-cert and --tls-key"}},
		"ctl: no certificate":           {ctl + control, ours.client()[:1], 1, []string{"tls: certificate required", "--tls-cert and --tls-key"}},
		"plain client":                  {get + secured, nil, 1, []string{"if it wants TLS, give --tls-ca"}},
		"ctl: plain client":             {ctl + control, nil, 1, []string{"if it wants TLS, give --tls-ca"}},
		"plain server":                  {get + plain, ours.client(), 1, []string{"first record does not look like a TLS handshake", "leave out the flags --tls"}},
		"missing key":                   {get + secured, append(ours.client(), "--tls-key=missing"), 2, []string{"--tls-key: open missing: no such file"}},
		"another key":                   {get + secured, append(ours.client(), "--tls-key="+ours.path("server.key")), 2, []string{"--tls-key", "private key does not match public key"}},
		"no key":                        {get + secured, ours.client()[:2], 2, []string{"--tls-cert: want its key in --tls-key"}},
		"ctl: another key":              {ctl + control, append(ours.client(), "--tls-key="+ours.path("server.key")), 2, []string{"--tls-key", "private key does not match public key"}},
		"counterd: another key":         {"counterd --addr=" + plain, append(ours.server(), "--tls-key="+ours.path("client.key")), 2, []string{"--tls-key", "private key does not match public key"}},
		"counterd: missing certificate": {"counterd --addr=" + plain, append(ours.server(), "--tls-cert=missing"), 2, []string{"--tls-cert: open missing"}},
		"counterd: exposed":             {"counterd --addr=0.0.0.0:0", nil, 2, []string{"--addr", `"0.0.0.0:0": other machines can reach it without TLS`, "--tls-cert", "--insecure"}},
		"counterd: exposed faults":      {"counterd --fault-listen=:0 --addr=127.0.0.1:0", nil, 2, []string{"--fault-listen", `":0": other machines can reach it without TLS`, "--insecure"}},
		"supervisor: another key":       {"supervisor", append(ours.server(), "--tls-key="+ours.path("client.key"), "--", "true"), 2, []string{"--tls-key", "private key does not match public key"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(strings.Fields(tt.command), tt.flags...)
			code, _, stderr := run(t, args[0], args[1:]...)
			if code != tt.code || tt.want == nil && stderr != "" || tt.want != nil && strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, stderr %q; want %d and one line for a mistake", code, stderr, tt.code)
			}
			containsAll(t, stderr, tt.want...)
		})
	}
}
