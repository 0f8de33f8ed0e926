package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// Failure is a connection error that has to do with TLS, with advice on what to do about it.
type Failure struct {
	Err    error
	Advice string
}

// Error returns both on one line.
func (f *Failure) Error() string { return f.Err.Error() + "; " + f.Advice }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// tlsCredentials are the credentials of a client. Each handshake uses the current configuration.
type tlsCredentials struct {
	credentials.TransportCredentials // without a certificate; for everything but the handshake
	config                           func() *tls.Config
}

// ClientHandshake implements credentials.TransportCredentials.
func (s tlsCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config := s.config()
	if config.ServerName != "" {
		authority = config.ServerName
	}
	conn, info, err := credentials.NewTLS(config).ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, advise(err)
	}
	return tlsConn{conn}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (s tlsCredentials) Clone() credentials.TransportCredentials {
	return tlsCredentials{s.TransportCredentials.Clone(), s.config}
}

// plainCredentials are the credentials of a client without TLS.
type plainCredentials struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (p plainCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := p.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	return &plainConn{Conn: conn}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (p plainCredentials) Clone() credentials.TransportCredentials {
	return plainCredentials{p.TransportCredentials.Clone()}
}

// tlsConn is a connection that adds advice to alerts. With TLS 1.3 a server checks the client's
// certificate after the client's handshake has ended.
type tlsConn struct{ net.Conn }

func (a tlsConn) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	return n, advise(err)
}

func (a tlsConn) Write(b []byte) (int, error) {
	n, err := a.Conn.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		_, last := a.Conn.Read(make([]byte, 1))
		if _, isAlert := alertOf(last); isAlert {
			err = last // it says why the server hung up
		}
	}
	return n, advise(err)
}

// plainConn is a connection without TLS that knows whether anything was received.
type plainConn struct {
	net.Conn
	heard atomic.Bool
}

func (u *plainConn) Read(b []byte) (int, error) {
	n, err := u.Conn.Read(b)
	if n > 0 {
		u.heard.Store(true)
	}
	return n, u.advise(err)
}

func (u *plainConn) Write(b []byte) (int, error) {
	n, err := u.Conn.Write(b)
	return n, u.advise(err)
}

// advise adds a possible reason to the error of a connection that the server closed at once.
func (u *plainConn) advise(err error) error {
	if err == nil || u.heard.Load() {
		return err
	}
	for _, closed := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, closed) {
			return withAdvice(err, "the server hung up at once: if it wants TLS, give --tls-ca")
		}
	}
	return err
}

// Alerts by which a server rejects a client, from RFC 8446, section 6.
const alertCertificateRequired tls.AlertError = 116

// Bad, unsupported, revoked, expired, unknown, unknown authority.
var alertsBadCertificate = []tls.AlertError{42, 43, 44, 45, 46, 48}

// advise adds advice to an error of TLS.
func advise(err error) error {
	if err == nil {
		return nil
	}
	what := ""
	alert, isAlert := alertOf(err)
	switch {
	case is[x509.UnknownAuthorityError](err):
		what = "want the authority that signed the server's certificate in --tls-ca"
	case is[x509.HostnameError](err):
		what = "want a name of the server's certificate in --tls-server-name"
	case is[x509.CertificateInvalidError](err):
		what = "want another certificate of the server"
	case is[tls.RecordHeaderError](err):
		what = "the server has no TLS: leave out the flags --tls"
	case isAlert && alert == alertCertificateRequired:
		what = "the server requires a client certificate: give --tls-cert and --tls-key"
	case isAlert && slices.Contains(alertsBadCertificate, alert):
		what = "the server refuses our certificate: want one in --tls-cert that is valid and signed by its --tls-client-ca"
	default:
		return err
	}
	return withAdvice(err, what)
}

// withAdvice returns an error that wraps a [Failure]. A network error stays one, because some
// callers look for it and show nothing around it.
func withAdvice(err error, what string) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		again := *op
		again.Err = &Failure{op.Err, what}
		return &again
	}
	return &Failure{err, what}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// alertOf returns the alert that the other side sent. Package tls does not export its type, only
// its text.
func alertOf(err error) (alert tls.AlertError, ok bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return 0, false
	}
	for alert := range tls.AlertError(255) {
		if alert.Error() == op.Err.Error() {
			return alert, true
		}
	}
	return 0, false
}
