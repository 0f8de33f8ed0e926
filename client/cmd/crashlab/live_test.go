package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/crashlab/client/live"
)

// A mistake is reported in one line, before anything is started.
func TestLiveBadInput(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nobody := "--target=127.0.0.1:1" // without a cluster
	inUse := write(fmt.Sprintf("{replicas: 1, base_port: %s, command: [sleep, '{port}']}", port))
	controlled := write(fmt.Sprintf("{replicas: 1, command: [sleep, '9'], control: {addr: '127.0.0.1:%s'}}", port))
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"two clusters":         {[]string{"--cluster=x", "--control=127.0.0.1:1"}, exitUsage, "--control: not with --cluster"},
		"no such file":         {[]string{"--cluster=missing.yaml"}, exitUsage, "--cluster: "},
		"a bad file":           {[]string{"--cluster=" + write("replica: 3")}, exitUsage, "replica"},
		"replica's port":       {[]string{"--cluster=" + inUse}, exitFailed, "127.0.0.1:" + port + " is in use by another process: want another base_port there, or --control ADDR"},
		"control port":         {[]string{"--cluster=" + controlled}, exitFailed, "a supervisor runs at 127.0.0.1:" + port + " already: want --control 127.0.0.1:" + port},
		"no supervisor":        {[]string{"--control=127.0.0.1:1"}, exitFailed, "no supervisor answers at 127.0.0.1:1: "},
		"what to do":           {[]string{"--control=127.0.0.1:1"}, exitFailed, "--cluster deploy/cluster.yaml, which starts one"},
		"page's port":          {[]string{nobody, "--listen=127.0.0.1:" + port}, exitFailed, "another process listens there: want an address that is free, such as 127.0.0.1:0"},
		"exposed":              {[]string{nobody, "--listen=0.0.0.0:0"}, exitUsage, `--listen "0.0.0.0:0": other machines can reach it: want an address on loopback, or --page-tls-cert`},
		"no key":               {[]string{nobody, "--page-tls-cert=x"}, exitUsage, "--page-tls-cert: want its key in --page-tls-key"},
		"a token with a space": {[]string{nobody, "--token-file=" + write("sixteen or more characters")}, exitUsage, "at least 16 letters"},
		"a short token":        {[]string{nobody, "--token-file=" + write("secret")}, exitUsage, "at least 16 letters"},
		"policy":               {[]string{nobody, "--policy=best"}, exitUsage, `--policy "best": want original or recommended`},
		"concurrency":          {[]string{nobody, "-c", "1000000"}, exitUsage, `--concurrency "1000000": want`},
		"concurrency and rate": {[]string{nobody, "-c", "5", "--rate", "x"}, exitUsage, `--rate`},
	} {
		code, stdout, stderr := crashlab(t.Context(), append([]string{"live"}, c.args...)...)
		first, _, _ := strings.Cut(stderr, "\n")
		if code != c.code || stdout != "" || !strings.Contains(first, c.want) {
			t.Errorf("%s: exit code %d, %q%q, want %d, %q", name, code, stdout, stderr, c.code, c.want)
		}
	}
}

// Beyond loopback the page is served with TLS and the given token, and Ctrl-C ends it in order.
func TestLiveBeyondLoopback(t *testing.T) {
	t.Parallel()
	certs := httptest.NewTLSServer(nil)
	certs.Close()
	key, err := x509.MarshalPKCS8PrivateKey(certs.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	const token = "a token of our own"
	for name, text := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs.Certificate().Raw}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"token":    []byte(strings.ReplaceAll(token, " ", "-") + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stdout, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	p := start(t, to, "live", "--target=127.0.0.1:1", "--listen=0.0.0.0:0", "--runs="+dir, "--page-tls-cert="+dir+"/cert.pem",
		"--page-tls-key="+dir+"/key.pem", "--token-file="+dir+"/token")
	to.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, port, _ := strings.Cut(strings.TrimPrefix(line, "Open https://"), ":")
	port, given, _ := strings.Cut(strings.TrimSpace(port), "/#")
	if err != nil || given != strings.ReplaceAll(token, " ", "-") {
		t.Fatalf("%q, %v", line, err)
	}
	for query, want := range map[string]int{"?token=" + given: http.StatusNotFound, "": http.StatusUnauthorized} {
		reply, err := certs.Client().Get("https://127.0.0.1:" + port + "/api/calls/A/1000000" + query)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != want {
			t.Errorf("%q: %s, want %d", query, reply.Status, want)
		}
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, %s", code, &p.stderr)
	}
}

// The status line with two loads fits on 80 columns.
func TestStatusText(t *testing.T) {
	s := live.State{
		Cluster:  live.Cluster{Control: "127.0.0.1:7100", Connected: true},
		Replicas: []live.Replica{{State: live.ReplicaReady}, {State: live.ReplicaDown}, {State: live.ReplicaHung}},
		Plans:    []live.Plan{{ID: "A", On: true}, {ID: "B", On: true}},
		Loads: []live.Load{
			{ID: "A", Recent: live.Numbers{OK: 999, Failed: 1, Sent: 1430, P99: live.Micros(1234567 * time.Microsecond)}},
			{ID: "B"},
		},
	}
	if got, want := statusText(s, 1), "●○◍  A 99.9% ok, p99 1.23s, 1.43 sent  B no calls"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Loads[1].Recent = s.Loads[0].Recent
	if got := statusText(s, 2); !strings.HasSuffix(got, "  2 tabs") || utf8.RuneCountInString(got) > 79 {
		t.Errorf("%q", got)
	}
	s.Cluster.Connected, s.Cluster.Error = false, "no supervisor answers at 127.0.0.1:7100"
	if got := statusText(s, 2); !strings.HasPrefix(got, "supervisor lost, reconnecting: no supervisor answers") {
		t.Error(got)
	}
	var out bytes.Buffer
	line := newStatusLine(output{&out, &out}, nil)
	line.show(s)
	if line.clear(); out.Len() > 0 {
		t.Errorf("%q on what is no terminal", out.String())
	}
}
