package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/transport"
)

// startControl makes server serve at l until stop is called; stop returns when it has ended. If l
// is nil, there is no control service.
func startControl(l *controlListener, server *control.Server, log hclog.Logger) (stop func()) {
	if l == nil {
		return func() {}
	}
	server.Credentials = l.credentials
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(ctx, l); err != nil {
			log.Error("the control service failed", "error", err)
		}
	}()
	return func() {
		cancel()
		<-served
	}
}

// controlListener is the listener of the control service. Nil means there is none.
type controlListener struct {
	settings    clusterfile.Settings
	credentials credentials.TransportCredentials

	mu       sync.Mutex
	listener net.Listener
	socket   os.FileInfo // the file of listener, if it is a Unix socket
	closed   bool
}

// listenControl listens for the control service, with TLS if configured, except at a Unix socket.
// Warn is as for transport.Client.
func listenControl(s clusterfile.Settings, warn func(error)) (l *controlListener, err error) {
	if s.Control == "" {
		return nil, nil
	}
	l = &controlListener{settings: s}
	if !strings.HasPrefix(s.Control, "unix:") {
		if l.credentials, err = s.Serve.Credentials(warn); err != nil {
			return nil, err
		}
	}
	switch err := l.listen(); {
	case errors.Is(err, transport.ErrExposed): // a name that resolves to an address beyond loopback
		return nil, inputfile.Place{Name: "--control"}.Errorf("%v", err)
	case err != nil:
		return nil, fmt.Errorf("--control: %w", err)
	}
	return l, nil
}

func (l *controlListener) listen() error {
	listener, err := control.Listen(l.settings.Control, l.settings.Serve.Enabled() || l.settings.Insecure)
	if err == nil {
		l.listener = listener
		l.socket, _ = os.Lstat(listener.Addr().String())
	}
	return err
}

// restore listens again if the socket was removed. Existing connections continue.
func (l *controlListener) restore() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.lost() {
		return nil
	}
	before := l.listener
	if err := l.listen(); err != nil {
		return fmt.Errorf("the control socket is gone: %w", err)
	}
	closeLost(before)
	return nil
}

// lost reports whether the socket is no longer at its path.
func (l *controlListener) lost() bool {
	if l.listener.Addr().Network() != "unix" {
		return false
	}
	there, err := os.Lstat(l.listener.Addr().String())
	return err != nil || !os.SameFile(there, l.socket)
}

// closeLost closes a listener without removing the file at its path.
func closeLost(l net.Listener) error {
	l.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
	return l.Close()
}

// Accept implements net.Listener.
func (l *controlListener) Accept() (net.Conn, error) {
	for {
		listener := l.current()
		if conn, err := listener.Accept(); err == nil || listener == l.current() {
			return conn, err
		}
	}
}

func (l *controlListener) current() net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listener
}

// Close implements net.Listener.
func (l *controlListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed = true; l.lost() {
		return closeLost(l.listener)
	}
	return l.listener.Close()
}

// Addr implements net.Listener.
func (l *controlListener) Addr() net.Addr { return l.current().Addr() }
