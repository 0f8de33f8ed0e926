package web

import (
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// contentPolicy restricts the page to this server and forbids showing it in a frame.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard accepts only requests of the page. It refuses requests that name another host, which
// prevents DNS rebinding, requests from other sites, and requests to /api/ without the token.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		api := strings.HasPrefix(r.URL.Path, "/api/")
		switch {
		case !s.isHost(r.Host):
			fail(w, http.StatusForbidden, fmt.Errorf("host %q: want the address in the printed URL", r.Host))
		case !s.sameOrigin(r, api):
			fail(w, http.StatusForbidden, fmt.Errorf("origin %q: requests from other sites are not allowed", r.Header.Get("Origin")))
		case api && !s.authorized(r):
			fail(w, http.StatusUnauthorized, fmt.Errorf("the token is missing or wrong: open the printed URL"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isHost reports whether a Host header names this server. With TLS the browser has checked the
// name.
func (s *Server) isHost(host string) bool {
	if s.TLS != nil {
		return true
	}
	ip, port, err := net.SplitHostPort(s.addr.String())
	if err != nil {
		return false
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", ip} {
		if known := net.JoinHostPort(name, port); strings.EqualFold(host, known) || port == "80" && strings.EqualFold(host, strings.TrimSuffix(known, ":80")) {
			return true
		}
	}
	return false
}

// sameOrigin reports whether a request comes from the page or from no page at all. Links from other
// sites to the page itself are allowed.
func (s *Server) sameOrigin(r *http.Request, api bool) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); api && site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == s.scheme()+"://"+r.Host
}

func (s *Server) scheme() string {
	if s.TLS != nil {
		return "https"
	}
	return "http"
}

// authorized reports whether a request has the token.
func (s *Server) authorized(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		given = r.URL.Query().Get("token")
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.Token)) == 1
}
