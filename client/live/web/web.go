// Package web serves a live session over HTTP: the page's files, the session's state as server-sent
// events, and its commands. Package live documents the protocol. Use it to show a live session, or
// another implementation of Session, in browsers.
//
// Anyone with the token may do everything. Listen therefore refuses addresses beyond loopback
// unless the caller has TLS and a token that the user has chosen.
package web

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"example.com/crashlab/client/live"
	"example.com/crashlab/supervisor/transport"
)

const (
	maxBody = 64 << 10
	// writeTimeout is how long a tab may leave a message unread, such as one on a machine that
	// sleeps. The server then closes its connection, and the tab reconnects.
	writeTimeout    = 30 * time.Second
	shutdownTimeout = time.Second
)

// Session is the session that a Server serves. Its methods must be safe for concurrent use.
type Session interface {
	// About returns what does not change in the session.
	About() live.About
	// Call returns a call with its attempts, or false if it is not known.
	Call(load string, number int) (live.Call, bool)
	// Do executes a command. A [*live.Refusal] has the status of the reply; any other error is
	// reported with the status 400.
	Do(ctx context.Context, c live.Command) (live.Done, error)
}

// Server serves a session. Session and Token are required.
type Server struct {
	Session Session
	// Token is the token that requests must have; [NewToken] returns one.
	Token string
	// Page serves the page at / and its files beside it. If nil, there is no page.
	Page http.Handler
	// TLS, if not nil, secures the connections.
	TLS *tls.Config

	addr net.Addr
	hub  hub
}

// NewToken returns a random token of 128 bits.
func NewToken() string { return rand.Text() }

// ErrExposed is wrapped by the error for an address that other machines can reach.
var ErrExposed = errors.New("other machines can reach it: want an address on loopback, such as 127.0.0.1:7180, or TLS and a token of your own")

// Listen listens at HOST:PORT. Secured says that the server has TLS and a token that the user has
// chosen. Without it, an address beyond loopback gets an error that wraps [ErrExposed].
func Listen(addr string, secured bool) (net.Listener, error) {
	l, err := transport.Listen(addr, secured)
	switch {
	case errors.Is(err, transport.ErrExposed):
		return nil, fmt.Errorf("%q: %w", addr, ErrExposed)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%q: another process listens there: want an address that is free, such as 127.0.0.1:0 for any port", addr)
	}
	return l, err
}

// URL returns the URL of the page at a listener, with the token. If the listener is at all
// addresses, the URL has the name of this machine.
func (s *Server) URL(l net.Listener) string {
	addr := l.Addr().String()
	if host, port, err := net.SplitHostPort(addr); err == nil && net.ParseIP(host).IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = "localhost"
		}
		addr = net.JoinHostPort(host, port)
	}
	return fmt.Sprintf("%s://%s/#%s", s.scheme(), addr, s.Token)
}

// Publish sends a state to the tabs. States must be published in order; calls must not overlap. It
// never waits for a tab.
func (s *Server) Publish(state live.State) { s.hub.publish(state) }

// Tabs returns the number of open tabs.
func (s *Server) Tabs() int { return s.hub.count() }

// Serve serves on the listener until ctx ends, then closes it and returns nil. It returns an error
// only if the listener fails.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.addr = l.Addr()
	serving, end := context.WithCancel(ctx) // for the tabs
	defer end()
	server := &http.Server{
		Handler: s.guard(s.routes()), TLSConfig: s.TLS,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return serving },
	}
	ended := make(chan error, 1)
	go func() {
		if s.TLS != nil {
			ended <- server.ServeTLS(l, "", "")
		} else {
			ended <- server.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if server.Shutdown(late) != nil {
		server.Close()
	}
	<-ended
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/events", s.events)
	mux.HandleFunc("GET /api/calls/{load}/{number}", s.call)
	mux.HandleFunc("POST /api/command", s.command)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fmt.Errorf("%s %s: there is no such request", r.Method, r.URL.Path))
	})
	if s.Page != nil {
		mux.Handle("/", s.Page)
	}
	return mux
}

// events serves the events of a tab.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	t := s.hub.join()
	if t == nil {
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("%d tabs are open: close one", MaxTabs))
		return
	}
	defer s.hub.leave(t)
	w.Header().Set("Content-Type", "text/event-stream")
	to := http.NewResponseController(w)
	write := func(message []byte) bool {
		if to.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return false
		}
		_, err := w.Write(message)
		return err == nil && to.Flush() == nil
	}
	for message := message("about", s.Session.About()); ; message = s.hub.next(t) {
		if message != nil {
			if !write(message) {
				return
			}
			continue
		}
		select {
		case <-t.ready:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	load, text := r.PathValue("load"), r.PathValue("number")
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		fail(w, http.StatusBadRequest, fmt.Errorf("call %q: want its number, from 1", text))
		return
	}
	c, ok := s.Session.Call(load, number)
	if !ok {
		fail(w, http.StatusNotFound, fmt.Errorf("call %d of load %q: it is not kept any more, or none of its attempts has ended", number, load))
		return
	}
	reply(w, http.StatusOK, c)
}

func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		fail(w, http.StatusBadRequest, fmt.Errorf("content type %q: want application/json", kind))
		return
	}
	var c live.Command
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	body.DisallowUnknownFields()
	if err := body.Decode(&c); err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		fail(w, status, fmt.Errorf("want a command as JSON: %w", err))
		return
	}
	done, err := s.Session.Do(r.Context(), c)
	if err != nil {
		status := http.StatusBadRequest
		if refused, ok := errors.AsType[*live.Refusal](err); ok {
			status = refused.Status
		}
		fail(w, status, err)
		return
	}
	reply(w, http.StatusOK, done)
}

func fail(w http.ResponseWriter, status int, err error) {
	p := live.Problem{Error: err.Error()}
	if field, ok := errors.AsType[*live.FieldError](err); ok {
		p.Field = field.Field
	}
	reply(w, status, p)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // fails only if the client has gone
}
