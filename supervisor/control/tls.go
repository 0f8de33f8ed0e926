package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor/inputfile"
)

// TLS names files of certificates and keys in PEM. The zero value is none.
// A server reads them again for each connection, so that certificates can be
// renewed; one that cannot be read then fails that connection. They are
// regular files; a client, which reads them once, takes pipes too.
type TLS struct {
	Cert, Key string // who we are; both or neither
	// CA is who vouches for the other side. A server with it lets in only
	// clients with a certificate (mTLS), and without it everyone. A client
	// without it relies on the system's.
	CA string
}

// Enabled reports that there is a file.
func (t TLS) Enabled() bool { return t != TLS{} }

// Server returns the credentials of a [Server], after it has read the files
// once. Cert and Key are needed. They are nil if t is the zero value.
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

// Client returns the credentials for [NewClient]. They are nil if t is the
// zero value.
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

// maxPEM is the size in bytes of a file that is read; all authorities that a
// system trusts take a fifth of it.
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
