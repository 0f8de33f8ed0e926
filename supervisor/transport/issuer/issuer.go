// Package issuer is a certificate authority for trying out TLS and for tests. Do not trust it
// otherwise: its key is stored without a password, and it cannot revoke certificates.
package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// New returns an authority with a new key, which is valid for the given time.
func New(valid time.Duration) (*Authority, error) {
	name := fmt.Sprintf("crashlab authority of %s", time.Now().UTC().Format(time.RFC3339Nano))
	c := template(name, valid)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	a := &Authority{cert: c}
	var err error
	a.cert, a.key, err = a.sign(c)
	return a, err
}

// Load returns the authority that Write stored in a directory under a name: the first certificate
// of the file, and the key.
func Load(dir, name string) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(files(dir, name))
	if err != nil {
		return nil, err
	}
	return &Authority{pair.Leaf, pair.PrivateKey.(crypto.Signer)}, nil
}

// Write writes the authority's certificate and key to NAME.crt and NAME.key in a directory. The
// certificates of others follow its own, so that those are trusted too as long as certificates that
// they signed are in use.
func (a *Authority) Write(dir, name string, others ...*Authority) error {
	text := encode("CERTIFICATE", a.cert.Raw)
	for _, o := range others {
		text = append(text, encode("CERTIFICATE", o.cert.Raw)...)
	}
	return write(dir, name, text, a.key)
}

// Issue writes a certificate for servers and clients, and its key, to NAME.crt and NAME.key in a
// directory. Hosts are names and IP addresses. The certificate is valid for the given time; if that
// is negative, it has already expired.
func (a *Authority) Issue(dir, name string, valid time.Duration, hosts ...string) error {
	c := template(name, valid)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	c, key, err := a.sign(c)
	if err != nil {
		return err
	}
	return write(dir, name, encode("CERTIFICATE", c.Raw), key)
}

func template(name string, valid time.Duration) *x509.Certificate {
	begin := time.Now().Add(min(valid, 0) - time.Hour) // clocks may differ
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: begin, NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// sign creates a key and its certificate, signed by the authority, or by the key itself if the
// authority has none yet.
func (a *Authority) sign(c *x509.Certificate) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	c, err = x509.ParseCertificate(der)
	return c, key, err
}

// write replaces a certificate and its key. Each file is complete at any moment.
func write(dir, name string, cert []byte, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPath, keyPath := files(dir, name)
	if err := replace(keyPath, encode("PRIVATE KEY", der), 0o600); err != nil {
		return err
	}
	return replace(certPath, cert, 0o644)
}

func files(dir, name string) (cert, key string) {
	return filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
}

func replace(path string, text []byte, mode os.FileMode) error {
	if err := os.WriteFile(path+".new", text, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
