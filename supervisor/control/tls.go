package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor/inputfile"
)

// TLS names files of certificates and keys in PEM. The zero value has none: there is
// no TLS. A server reads the files again for each connection, so that certificates
// can be renewed; if one cannot be read then, that connection fails. They must be
// regular files, or, for a client, which reads them once, pipes.
type TLS struct {
	Cert, Key string // our own certificate and its key; both or neither
	// CA has certificates of which one must have signed that of the other side.
	// Empty: a server accepts clients without a certificate, and a client trusts
	// the authorities that the system trusts.
	CA string
}

// Enabled reports whether there is TLS.
func (t TLS) Enabled() bool { return t != TLS{} }

// Server returns the credentials for a [Server]; nil if t is the zero value. Cert and
// Key are required. It returns an error if the files cannot be read or used now.
func (t TLS) Server() (credentials.TransportCredentials, error) {
	if !t.Enabled() {
		return nil, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("TLS: want a certificate and its key, as a server has to show who it is")
	}
	if _, err := t.server(); err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		NextProtos:         []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.server() },
	}), nil
}

func (t TLS) server() (*tls.Config, error) {
	c, err := t.config(inputfile.Read)
	if err != nil {
		return nil, err
	}
	if c.ClientCAs = c.RootCAs; c.ClientCAs != nil {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.NextProtos = []string{"h2"}
	return c, nil
}

// Client returns the credentials for [NewClient]; nil if t is the zero value. It
// returns an error if the files cannot be read or used.
func (t TLS) Client() (credentials.TransportCredentials, error) {
	if !t.Enabled() {
		return nil, nil
	}
	c, err := t.config(inputfile.ReadOnce)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(c), nil
}

// maxPEM is the largest size of a file in bytes. The certificates of all authorities
// that a system trusts take a fifth of it.
const maxPEM = 1 << 20

// config reads the files.
func (t TLS) config(read func(path string, most int) ([]byte, error)) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if (t.Cert == "") != (t.Key == "") {
		return nil, fmt.Errorf("TLS certificate %q and key %q: want both or neither", t.Cert, t.Key)
	}
	if t.Cert != "" {
		pair, err := t.pair(read)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate %q and key %q: %w", t.Cert, t.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.CA != "" {
		pem, err := read(t.CA, maxPEM)
		if err != nil {
			return nil, fmt.Errorf("TLS CA: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS CA %q: want a file with a certificate in PEM", t.CA)
		}
	}
	return c, nil
}

func (t TLS) pair(read func(path string, most int) ([]byte, error)) (tls.Certificate, error) {
	cert, err := read(t.Cert, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := read(t.Key, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
