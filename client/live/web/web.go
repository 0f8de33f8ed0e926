// Package web serves the page of a live session: its files, its state as server-sent events, and
// its commands. Package live documents the protocol.
//
// It serves whoever has the token, by loopback only unless connections are secured and the token
// was chosen: see [Listen].
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
	// writePatience is how long a tab that sleeps may leave a message unread. Then its connection
	// is closed; it comes again.
	writePatience = 30 * time.Second
	endPatience   = time.Second
)

// Session is what the page is of. Its methods may be called by any goroutine.
type Session interface {
	// About is what does not change.
	About() live.About
	// Call returns the way of a call; false where it is not known.
	Call(load string, number int) (live.Call, bool)
	// Do does a command. An error that is no [*live.Refusal] is the command's fault.
	Do(ctx context.Context, c live.Command) (live.Done, error)
}

// Server serves one session.
type Server struct {
	Session Session
	// Token is what requests must have. Make one with [NewToken].
	Token string
	// Page serves the page at / and its files beside it; nil: there is none.
	Page http.Handler
	// TLS secures the connections; nil: they are not secured.
	TLS *tls.Config

	addr net.Addr
	hub  hub
}

// NewToken returns a random token of 128 bits.
func NewToken() string { return rand.Text() }

// ErrExposed is wrapped by the error for an address that other machines can reach.
var ErrExposed = errors.New("other machines can reach it: want an address on loopback, such as 127.0.0.1:7180, or TLS and a token of your own")

// Listen listens at HOST:PORT, which must be on loopback unless it is secured.
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

// URL returns the URL of the page at a listener, with the token. A listener at all addresses is
// reached by the name of this machine.
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

// Publish gives the tabs a state. States come in their order, one call at a time. It does not wait
// for a tab.
func (s *Server) Publish(state live.State) { s.hub.publish(state) }

// Tabs returns how many tabs read.
func (s *Server) Tabs() int { return s.hub.count() }

// Serve serves on the listener, which it closes, until ctx ends. Its error is that of a listener
// that fails.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.addr = l.Addr()
	serving, end := context.WithCancel(ctx) // of the tabs
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
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
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

// events serves a tab.
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
		if to.SetWriteDeadline(time.Now().Add(writePatience)) != nil {
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
		case <-t.news:
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
		fail(w, http.StatusNotFound, fmt.Errorf("call %d of load %q: not known any more, or not yet", number, load))
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
	json.NewEncoder(w).Encode(body) // to one that has gone, if at all
}
