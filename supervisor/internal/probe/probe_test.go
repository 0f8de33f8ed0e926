package probe

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/crashlab/supervisor/spec"
)

// HTTP probes use HTTPS if there is a dialer for TLS, and fail if the server's protocol or
// certificate does not fit.
func TestProbeByHTTPS(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	secured, plain := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	defer secured.Close()
	defer plain.Close()
	dialer := tls.Dialer{Config: secured.Client().Transport.(*http.Transport).TLSClientConfig}
	for name, tc := range map[string]struct {
		prober *Prober
		server *httptest.Server
		path   string
		good   bool
	}{
		"http":                {NewProber(nil, nil), plain, "/healthz", true},
		"https":               {NewProber(nil, dialer.DialContext), secured, "/healthz", true},
		"https, not serving":  {NewProber(nil, dialer.DialContext), secured, "/", false},
		"http, of https":      {NewProber(nil, nil), secured, "/healthz", false},
		"https, of http":      {NewProber(nil, dialer.DialContext), plain, "/healthz", false},
		"https, of strangers": {NewProber(nil, new(tls.Dialer).DialContext), secured, "/healthz", false},
	} {
		err := tc.prober.Probe(t.Context(), spec.Probe{Kind: spec.ProbeHTTP, Path: tc.path, Timeout: 2 * time.Minute}, tc.server.Listener.Addr().String())
		if (err == nil) != tc.good {
			t.Errorf("%s: %v, want a good answer: %v", name, err, tc.good)
		}
	}
}
