package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/crashlab/client/live"
)

const token = "the token of this test"

// fakeSession is a session that records kills and refuses all other commands.
type fakeSession struct{ commands []live.Command }

func (*fakeSession) About() live.About { return live.About{Version: "test"} }

func (*fakeSession) Call(load string, number int) (live.Call, bool) {
	return live.Call{Load: load, Number: number}, load == "A" && number == 7
}

func (f *fakeSession) Do(_ context.Context, c live.Command) (live.Done, error) {
	switch c.Do {
	case live.ActionKill:
		f.commands = append(f.commands, c)
		return live.Done{Text: "kill"}, nil
	case live.ActionStop:
		return live.Done{}, live.Refuse(http.StatusConflict, "replica b has no process")
	}
	_, err := live.DefaultSettings().With("", map[string]string{"rounds": "0"})
	return live.Done{}, live.Refuse(http.StatusBadRequest, "%w", err)
}

// serve serves a session until the test ends, and returns the server and its base URL.
func serve(t *testing.T, s *Server) (*Server, string) {
	t.Helper()
	if s.Session == nil {
		s.Session = new(fakeSession)
	}
	s.Token = token
	s.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the page") })
	l, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, s.scheme() + "://" + l.Addr().String()
}

// ask makes a request with headers given as NAME, VALUE, ... and returns the status, the body and
// the headers of the reply.
func ask(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(text), reply.Header
}

const bearer = "Bearer " + token

// Requests that do not come from the page are refused and never reach the session.
func TestForeignRequests(t *testing.T) {
	t.Parallel()
	session := new(fakeSession)
	_, base := serve(t, &Server{Session: session})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	const kill = `{"do":"kill"}`
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"no token":                    {"POST", "/api/command", nil, 401},
		"another token":               {"POST", "/api/command", []string{"Authorization", "Bearer x"}, 401},
		"a prefix of the token":       {"POST", "/api/command", []string{"Authorization", bearer[:20]}, 401},
		"no token for the events":     {"GET", "/api/events", nil, 401},
		"no token for a call":         {"GET", "/api/calls/A/7", nil, 401},
		"another name of the host":    {"POST", "/api/command", []string{"Authorization", bearer, "Host", "evil.example:" + port}, 403},
		"another port of the host":    {"POST", "/api/command", []string{"Authorization", bearer, "Host", "127.0.0.1:1"}, 403},
		"no port":                     {"POST", "/api/command", []string{"Authorization", bearer, "Host", "127.0.0.1"}, 403},
		"the page under another name": {"GET", "/", []string{"Host", "evil.example:" + port}, 403},
		"another site":                {"POST", "/api/command", []string{"Authorization", bearer, "Origin", "http://evil.example"}, 403},
		"another port's page":         {"POST", "/api/command", []string{"Authorization", bearer, "Origin", "http://127.0.0.1:1"}, 403},
		"a page without an origin":    {"POST", "/api/command", []string{"Authorization", bearer, "Origin", "null"}, 403},
		"fetched by another site":     {"GET", "/api/events", []string{"Authorization", bearer, "Sec-Fetch-Site", "same-site"}, 403},
		"a form":                      {"POST", "/api/command", []string{"Authorization", bearer, "Content-Type", "text/plain"}, 400},
		"a GET of a command":          {"GET", "/api/command", []string{"Authorization", bearer}, 404},
	} {
		headers := append([]string{"Content-Type", "application/json"}, c.headers...)
		code, body, _ := ask(t, c.method, base+c.path, kill, headers...)
		var p live.Problem
		if code != c.want || json.Unmarshal([]byte(body), &p) != nil || p.Error == "" || strings.Contains(p.Error, "\n") {
			t.Errorf("%s: %d, %s, want %d", name, code, body, c.want)
		}
	}
	if len(session.commands) != 0 {
		t.Errorf("foreign requests have executed %+v", session.commands)
	}
}

// Requests of the page succeed, by any name of this machine.
func TestPageRequests(t *testing.T) {
	t.Parallel()
	session := new(fakeSession)
	_, base := serve(t, &Server{Session: session})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	for _, host := range []string{"127.0.0.1:" + port, "localhost:" + port, "LOCALHOST:" + port, "[::1]:" + port} {
		code, body, h := ask(t, "GET", base+"/", "", "Host", host)
		if code != 200 || body != "the page" {
			t.Errorf("%s: %d, %s", host, code, body)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("content security policy %q", csp)
		}
		code, body, _ = ask(t, "POST", base+"/api/command", `{"do":"kill","replicas":["b"]}`, "Host", host, "Origin", "http://"+host,
			"Sec-Fetch-Site", "same-origin", "Authorization", bearer, "Content-Type", "application/json; charset=utf-8")
		if code != 200 || body != "{\"text\":\"kill\"}\n" {
			t.Errorf("%s: %d, %s", host, code, body)
		}
	}
	if len(session.commands) != 4 || session.commands[0].Replicas[0] != "b" {
		t.Errorf("commands %+v, want four kills of b", session.commands)
	}
	if code, body, _ := ask(t, "GET", base+"/api/calls/A/7?token="+strings.ReplaceAll(token, " ", "+"), ""); code != 200 || !strings.Contains(body, `"call":7`) {
		t.Errorf("a call: %d, %s", code, body)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	_, base := serve(t, new(Server))
	for name, c := range map[string]struct {
		method, path, body string
		code               int
		want               string
	}{
		"no JSON":         {"POST", "/api/command", "kill", 400, "want a command as JSON: "},
		"another field":   {"POST", "/api/command", `{"do":"kill","replica":"b"}`, 400, `unknown field "replica"`},
		"too much":        {"POST", "/api/command", `{"do":"` + strings.Repeat("x", 70<<10) + `"}`, 413, "too large"},
		"not now":         {"POST", "/api/command", `{"do":"stop"}`, 409, "replica b has no process"},
		"a bad value":     {"POST", "/api/command", `{"do":"load"}`, 400, `rounds "0": want`},
		"no number":       {"GET", "/api/calls/A/x", "", 400, `call "x": want its number`},
		"an unknown call": {"GET", "/api/calls/A/8", "", 404, "call 8 of load"},
		"an unknown path": {"GET", "/api/nothing", "", 404, "there is no such request"},
	} {
		code, body, _ := ask(t, c.method, base+c.path, c.body, "Authorization", bearer, "Content-Type", "application/json")
		var p live.Problem
		if json.Unmarshal([]byte(body), &p) != nil || code != c.code || !strings.Contains(p.Error, c.want) || (p.Field == "rounds") != (name == "a bad value") {
			t.Errorf("%s: %d, %s, want %d, %s", name, code, body, c.code, c.want)
		}
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if l, err := Listen(addr, false); !errors.Is(err, ErrExposed) {
			t.Errorf("%s: got %v, %v; want %v", addr, l, err, ErrExposed)
		}
		l, err := Listen(addr, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(l.Addr().String(), true); err == nil || !strings.Contains(err.Error(), "another process listens there: want an address that is free") {
			t.Errorf("twice: %v", err)
		}
		l.Close()
	}
	if _, err := Listen("nowhere", false); err == nil || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Errorf("no address: %v", err)
	}
}

// With TLS the certificate, not the server, checks the name of the host.
func TestTLS(t *testing.T) {
	t.Parallel()
	from := httptest.NewTLSServer(nil)
	from.Close()
	s, base := serve(t, &Server{TLS: &tls.Config{Certificates: from.TLS.Certificates}})
	client := from.Client()
	for authorization, want := range map[string]int{"": 401, bearer: 200} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/api/calls/A/7", nil)
		r.Host = "example.com"
		r.Header.Set("Authorization", authorization)
		reply, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != want {
			t.Errorf("%q: %d, want %d", authorization, reply.StatusCode, want)
		}
	}
	l, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if url, want := s.URL(l), "https://"+l.Addr().String()+"/#"+token; url != want {
		t.Errorf("URL %s, want %s", url, want)
	}
}
