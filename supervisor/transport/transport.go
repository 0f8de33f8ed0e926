// Package transport secures connections with TLS. It uses the certificates and keys in the files
// that flags and settings name, and refuses to listen where other machines could connect without
// TLS. The three programs share it.
//
// The files are read again for each handshake, so that certificates can be renewed while the
// program runs: by renaming files, by writing them in place, or by replacing a link to their
// directory, as Kubernetes does. While the files cannot be used, for example because one of them is
// only half written, the previous certificates remain in use. Existing connections are not
// affected.
//
// [Client] and [Server] have tags that make them flags of a kong command line; they can also be
// filled in by a program. For certificates to try it out, see package issuer.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// SystemCA is the [Client.CA] that stands for the authorities that the system trusts.
const SystemCA = "system"

// Client configures how a client secures its connections. The zero value does not secure them. The
// tags are for kong.
type Client struct {
	CA         Path `name:"tls-ca" placeholder:"FILE" help:"Connect over TLS to servers whose certificate is signed by one in this file (PEM); system stands for the authorities that the system trusts."`
	Cert       Path `name:"tls-cert" placeholder:"FILE" help:"Certificate (PEM) for servers that require one (mTLS)."`
	Key        Path `name:"tls-key" placeholder:"FILE" help:"Private key for --tls-cert (PEM)."`
	ServerName Name `name:"tls-server-name" placeholder:"NAME" help:"Name in the server's certificate, if it is not the host of its address."`
}

// Server configures how a server secures its connections. The zero value does not secure them. The
// tags are for kong.
type Server struct {
	Cert     Path `name:"tls-cert" placeholder:"FILE" help:"Serve over TLS with this certificate (PEM). All certificate files are read again when they change."`
	Key      Path `name:"tls-key" placeholder:"FILE" help:"Private key for --tls-cert (PEM)."`
	ClientCA Path `name:"tls-client-ca" placeholder:"FILE" help:"Accept only clients with a certificate signed by one in this file (PEM): mTLS."`
}

// Path is the path of a file.
type Path string

// UnmarshalText rejects an empty path, such as that of an unset variable in a script, because it
// would switch TLS off.
func (p *Path) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New(`"": want the path of a file`)
	}
	*p = Path(text)
	return nil
}

// Name is the name of a host.
type Name string

// UnmarshalText rejects an empty name.
func (n *Name) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New(`"": want a host's name or IP address`)
	}
	*n = Name(text)
	return nil
}

// Error is an error about one setting.
type Error struct {
	Setting string // the flag without --tls-: ca, cert, key, server-name or client-ca
	Err     error
}

// Error returns the flag and the error.
func (e *Error) Error() string { return "--tls-" + e.Setting + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Enabled reports whether connections are secured.
func (c Client) Enabled() bool { return c.CA != "" }

// Enabled reports whether connections are secured.
func (s Server) Enabled() bool { return s.Cert != "" }

// Credentials returns the credentials for gRPC. When renewed files cannot be used, warn is called
// with the reason, once for each reason, by any goroutine. Errors are of type [*Error].
func (c Client) Credentials(warn func(error)) (credentials.TransportCredentials, error) {
	config, err := c.config(warn)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return plainCredentials{insecure.NewCredentials()}, nil
	}
	return tlsCredentials{credentials.NewTLS(&tls.Config{ServerName: string(c.ServerName)}), config}, nil
}

// Dialer returns a function that connects over TLS, for use without gRPC, or nil if connections are
// not secured. For warn and errors see [Client.Credentials].
func (c Client) Dialer(warn func(error)) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	config, err := c.config(warn)
	if config == nil {
		return nil, err
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := tls.Dialer{Config: config()}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, advise(err)
		}
		return tlsConn{conn}, nil
	}, nil
}

// config returns a function that returns the configuration for the next connection, or nil if
// connections are not secured.
func (c Client) config(warn func(error)) (func() *tls.Config, error) {
	switch {
	case c.CA == "" && c.Cert != "":
		return nil, &Error{"cert", errMissingCA}
	case c.CA == "" && c.Key != "":
		return nil, &Error{"key", errMissingCA}
	case c.CA == "" && c.ServerName != "":
		return nil, &Error{"server-name", errMissingCA}
	case c.CA == "":
		return nil, nil
	}
	if err := checkPair(c.Cert, c.Key); err != nil {
		return nil, err
	}
	f := &files{cert: file{setting: "cert", path: c.Cert}, key: file{setting: "key", path: c.Key}, ca: file{setting: "ca", path: c.CA}, warn: warn}
	if c.CA == SystemCA {
		f.ca.path = ""
	}
	if err := f.open(true); err != nil {
		return nil, err
	}
	return func() *tls.Config {
		now := f.current()
		t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: now.pool, ServerName: string(c.ServerName)}
		if now.pair != nil {
			// With Certificates, one that the server does not trust would not be sent, and the
			// server would report that there is none.
			t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return now.pair, nil }
		}
		return t
	}, nil
}

var errMissingCA = errors.New("want --tls-ca with it; --tls-ca system stands for the authorities that the system trusts")

// Credentials returns the credentials for gRPC. For warn and errors see [Client.Credentials].
func (s Server) Credentials(warn func(error)) (credentials.TransportCredentials, error) {
	config, err := s.Config(warn)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return insecure.NewCredentials(), nil
	}
	return credentials.NewTLS(config), nil
}

// Config returns the configuration for servers other than gRPC's, or nil if connections are not
// secured. For warn and errors see [Client.Credentials].
func (s Server) Config(warn func(error)) (*tls.Config, error) {
	if err := checkPair(s.Cert, s.Key); err != nil {
		return nil, err
	}
	switch {
	case s.Cert == "" && s.ClientCA != "":
		return nil, &Error{"client-ca", errors.New("want --tls-cert and --tls-key with it")}
	case s.Cert == "":
		return nil, nil
	}
	f := &files{cert: file{setting: "cert", path: s.Cert}, key: file{setting: "key", path: s.Key}, ca: file{setting: "client-ca", path: s.ClientCA}, warn: warn}
	if err := f.open(false); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := f.current()
		t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*now.pair}}
		if now.pool != nil {
			t.ClientCAs, t.ClientAuth = now.pool, tls.RequireAndVerifyClientCert
		}
		return t, nil
	}}, nil
}

func checkPair(cert, key Path) error {
	switch {
	case cert != "" && key == "":
		return &Error{"cert", errors.New("want its key in --tls-key")}
	case cert == "" && key != "":
		return &Error{"key", errors.New("want its certificate in --tls-cert")}
	}
	return nil
}

// material is the parsed content of the files.
type material struct {
	pair *tls.Certificate // nil: none
	pool *x509.CertPool   // nil: that of the system, or none
}
