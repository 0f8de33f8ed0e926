package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// renewal renews the certificates of the production overlay under load, where clients must have
// one too.
func (c *cluster) renewal(t *testing.T) {
	certs := filepath.Join(c.dir, "certs")
	renew := func() {
		t.Helper()
		command(t, "go", "-C", "../../..", "run", "./deploy/certs", "-o", certs)
		secret := c.kubectl("create", "secret", "generic", "counter-tls", "--namespace=crashlab", "--dry-run=client", "-o=yaml",
			"--from-file=tls.crt="+filepath.Join(certs, "server.crt"), "--from-file=tls.key="+filepath.Join(certs, "server.key"),
			"--from-file=ca.crt="+filepath.Join(certs, "ca.crt"))
		c.kubectl("apply", "--server-side", "-f", c.master.write("secret.yaml", secret))
	}
	renew()
	c.apply("production", "--tls-key=/tls/tls.key", "--tls-key=/tls/tls.key\n  - --tls-client-ca=/tls/ca.crt",
		"tls: {ca: /tls/ca.crt,", "tls: {ca: /tls/ca.crt, cert: /tls/tls.crt, key: /tls/tls.key,")
	addrs := c.pods("{.status.podIP}")
	serials := func() (all []string) {
		for _, addr := range addrs {
			out, _ := c.client.try("sh", "-c", fmt.Sprintf("openssl s_client -connect %s:7101 -alpn h2 </dev/null 2>/dev/null | openssl x509 -noout -serial", addr))
			all = append(all, out)
		}
		return all
	}
	before := serials()
	tls := []string{"--tls-ca=" + filepath.Join(certs, "ca.crt")}
	mutual := append(tls, "--tls-cert="+filepath.Join(certs, "client.crt"), "--tls-key="+filepath.Join(certs, "client.key"))
	l := c.startLoad(slices.Concat(steady, mutual)...)
	l.more(1000)
	begin := time.Now()
	renew()
	eventually(t, "renewed certificate at each pod", func() bool {
		for i, now := range serials() {
			if now == before[i] || !strings.HasPrefix(now, "serial=") {
				return false
			}
		}
		return true
	})
	t.Logf("all pods have the new certificate after %v", time.Since(begin).Round(time.Second))
	l.more(1000)
	for _, pod := range c.pods("{.metadata.name}") { // so that all are connected to anew
		c.kubectl("exec", "--namespace=crashlab", pod, "--", "supervisor", "ctl", "--control=unix:///run/crashlab/control.sock", "signal", "kill", pod)
		l.more(500)
	}
	l.end(t, "certificates renewed, replicas killed")
	for name, flags := range map[string][]string{"TLS": nil, "a certificate": tls} {
		args := slices.Concat([]string{c.crashlab(), "get", "--target=" + target, "--deadline=10s"}, flags)
		if out, err := c.client.try(args...); err == nil {
			t.Errorf("a call without %s has succeeded: %s", name, out)
		}
	}
}
