package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"

	"example.com/crashlab/supervisor/inputfile"
)

// maxPEM is the largest size of a file in bytes. The certificates of all authorities that a system
// trusts take a fifth of it.
const maxPEM = 1 << 20

// tries is how often files that do not match each other are read, because they may have been
// replaced meanwhile.
const tries = 3

// file is one of the files.
type file struct {
	setting string
	path    Path   // empty: there is none
	piped   string // content of a pipe, which cannot be read again
}

func (f *file) read() (string, error) {
	if f.path == "" || f.piped != "" {
		return f.piped, nil
	}
	text, err := inputfile.Read(string(f.path), maxPEM)
	if err != nil {
		return "", &Error{f.setting, err}
	}
	return string(text), nil
}

// readPipe reads the file if it is a pipe.
func (f *file) readPipe() error {
	if f.path == "" || inputfile.CheckPath(string(f.path)) == nil {
		return nil
	}
	text, err := inputfile.ReadOnce(string(f.path), maxPEM)
	if err != nil {
		return &Error{f.setting, err}
	}
	f.piped = string(text)
	return nil
}

// wrong returns an error about the content.
func (f *file) wrong(err error, want string) error {
	return &Error{f.setting, fmt.Errorf("%q: %w: want %s", f.path, err, want)}
}

// files are a certificate with its key, and the certificates of authorities.
type files struct {
	cert, key, ca file
	warn          func(error)

	mu     sync.Mutex
	texts  *texts // content of the files that now was parsed from; nil: none yet
	now    material
	warned string // the latest warning about the present content
}

// texts are the contents of the files.
type texts struct{ cert, key, ca string }

// open reads the files for the first time. Pipes may only be used where renewals need not be
// followed.
func (f *files) open(pipes bool) (err error) {
	if pipes {
		for _, one := range []*file{&f.cert, &f.key, &f.ca} {
			if err := one.readPipe(); err != nil {
				return err
			}
		}
	}
	f.texts, f.now, err = f.load()
	return err
}

// current returns the content of the files, or the previous content if that cannot be used.
func (f *files) current() material {
	now, warning := f.update()
	if warning != nil {
		f.warn(warning) // it may block
	}
	return now
}

// update returns the content of the files, or the previous content with the reason, if that is new.
func (f *files) update() (now material, warning error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	read, loaded, err := f.load()
	switch {
	case err == nil:
		f.texts, f.now, f.warned = read, loaded, ""
	case err.Error() != f.warned:
		f.warned, warning = err.Error(), err
	}
	return f.now, warning
}

// load reads the files, and parses them if they have changed.
func (f *files) load() (*texts, material, error) {
	var err error
	for range tries {
		var read texts
		var now material
		if read, err = f.read(); err != nil {
			continue
		}
		if f.texts != nil && read == *f.texts {
			return f.texts, f.now, nil
		}
		if now, err = f.parse(read); err == nil {
			return &read, now, nil
		}
	}
	return nil, material{}, err
}

func (f *files) read() (t texts, err error) {
	if t.cert, err = f.cert.read(); err != nil {
		return t, err
	}
	if t.key, err = f.key.read(); err != nil {
		return t, err
	}
	t.ca, err = f.ca.read()
	return t, err
}

func (f *files) parse(t texts) (m material, err error) {
	if f.cert.path != "" {
		if _, err := certificates(t.cert); err != nil {
			return m, f.cert.wrong(err, "a certificate in PEM")
		}
		pair, err := tls.X509KeyPair([]byte(t.cert), []byte(t.key))
		if err != nil {
			return m, f.key.wrong(err, fmt.Sprintf("the key of %q in PEM", f.cert.path))
		}
		m.pair = &pair
	}
	if f.ca.path != "" {
		all, err := certificates(t.ca)
		if err != nil {
			return m, f.ca.wrong(err, "certificates in PEM")
		}
		m.pool = x509.NewCertPool()
		for _, c := range all {
			m.pool.AddCert(c)
		}
	}
	return m, nil
}

// certificates parses a text whose blocks must all be certificates. Unlike the standard library's
// functions, it does not accept the complete part of a file that is written only in part.
func certificates(text string) (all []*x509.Certificate, err error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		switch block, rest = pem.Decode(rest); {
		case block == nil && strings.Contains(string(rest), "-----BEGIN"):
			return nil, errors.New("the last block is not complete")
		case block == nil && len(all) == 0:
			return nil, errors.New("no certificate")
		case block == nil:
			return all, nil
		case block.Type != "CERTIFICATE":
			return nil, fmt.Errorf("a block of type %s", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}
