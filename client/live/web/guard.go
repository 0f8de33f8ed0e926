package web

import (
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// policy has the browser load and connect to nothing but this server, and shows the page in no
// frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard lets requests of the page pass, and no others: none under another name of the host, as a
// name that is bound to our address by its owner, none from another site, and to /api/ none without
// the token.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		api := strings.HasPrefix(r.URL.Path, "/api/")
		switch {
		case !s.knows(r.Host):
			fail(w, http.StatusForbidden, fmt.Errorf("host %q: want the address of the URL that was printed", r.Host))
		case !s.sameOrigin(r, api):
			fail(w, http.StatusForbidden, fmt.Errorf("origin %q: requests of other sites are not allowed", r.Header.Get("Origin")))
		case api && !s.authorized(r):
			fail(w, http.StatusUnauthorized, fmt.Errorf("no token, or another one: open the URL that was printed"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knows reports whether the server is meant by a Host header. Where connections are secured, the
// browser has checked its name.
func (s *Server) knows(host string) bool {
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

// sameOrigin reports whether a request comes from our page, or from no page. A link on another site
// may lead to the page.
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
