package transport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// pair is a server and a client whose files are renewed.
type pair struct {
	t    *testing.T
	dir  string
	addr string

	creds            credentials.TransportCredentials
	ofServer, client warnings
}

func newPair(t *testing.T, dir string) *pair {
	t.Helper()
	p := &pair{t: t, dir: dir}
	p.addr = serve(t, serverOf(dir), p.ofServer.add)
	var err error
	p.creds, err = clientOf(dir).Credentials(p.client.add)
	must{t}.do(err)
	return p
}

// shows checks that the server uses the certificate, and the number of warnings so far.
func (p *pair) shows(what, serial string, warned int) {
	p.t.Helper()
	for range 3 {
		if got, err := call(p.t, p.addr, p.creds); err != nil || got != serial {
			p.t.Fatalf("%s: the server shows %s, %v; want %s", what, got, err, serial)
		}
	}
	if got := append(p.ofServer.all(), p.client.all()...); len(got) != warned {
		p.t.Fatalf("%s: warnings %v, want %d", what, got, warned)
	}
}

func (p *pair) serial() string { return serialOf(p.t, in(p.dir, "server.crt")) }

func TestRenewedByRenaming(t *testing.T) {
	m := must{t}
	a, dir := m.authority(), t.TempDir()
	m.fill(dir, a)
	p := newPair(t, dir)
	old := p.serial()
	p.shows("at first", old, 0)
	m.fill(dir, a)
	if p.serial() == old {
		t.Fatal("the certificate has stayed the same")
	}
	p.shows("renewed", p.serial(), 0)
}

// Kubernetes replaces all files at once: they are links to files below a link to a directory, which
// it replaces.
func TestRenewedByALink(t *testing.T) {
	m := must{t}
	a, dir := m.authority(), t.TempDir()
	replace := func(name string) {
		real := filepath.Join(dir, name)
		m.do(os.Mkdir(real, 0o700))
		m.fill(real, a)
		m.do(os.Symlink(name, filepath.Join(dir, "new")))
		m.do(os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "..data")))
	}
	replace("..1")
	for _, name := range []string{"ca.crt", "server.crt", "server.key", "client.crt", "client.key"} {
		m.do(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	p := newPair(t, dir)
	p.shows("at first", p.serial(), 0)
	replace("..2")
	m.do(os.RemoveAll(filepath.Join(dir, "..1")))
	p.shows("renewed", p.serial(), 0)
}

// The authority is replaced while certificates of the old one are in use.
func TestAnotherAuthority(t *testing.T) {
	m := must{t}
	old, young, dir := m.authority(), m.authority(), t.TempDir()
	m.fill(dir, old)
	p := newPair(t, dir)
	m.do(young.Write(dir, "ca", old))
	p.shows("both trusted", p.serial(), 0)
	m.do(young.Issue(dir, "server", time.Hour, "127.0.0.1"))
	p.shows("the server's", p.serial(), 0)
	m.do(young.Issue(dir, "client", time.Hour, "client"))
	m.do(young.Write(dir, "ca"))
	p.shows("only the new one", p.serial(), 0)

	m.do(m.authority().Write(dir, "ca"))
	if _, err := call(t, p.addr, p.creds); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v, want an unknown authority", err)
	}
}

// Files that cannot be used have no effect, and cause one warning.
func TestHalfRenewedFiles(t *testing.T) {
	m := must{t}
	a, dir := m.authority(), t.TempDir()
	m.fill(dir, a)
	p := newPair(t, dir)
	old := p.serial()
	p.shows("at first", old, 0)

	young := t.TempDir()
	m.fill(young, a)
	text := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(young, name))
		m.do(err)
		return b
	}
	put := func(name string, text []byte) { m.do(os.WriteFile(filepath.Join(dir, name), text, 0o600)) }

	cert := text("server.crt")
	put("server.crt", cert[:len(cert)/2])
	p.shows("half a certificate", old, 1)
	put("server.crt", cert)
	p.shows("the key of another certificate", old, 2)
	m.do(os.Remove(filepath.Join(dir, "server.key")))
	p.shows("no key", old, 3)
	put("server.key", text("server.key"))
	p.shows("complete", p.serial(), 3)

	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	m.do(err)
	put("ca.crt", append(ca, ca[:100]...))
	p.shows("half an authority", p.serial(), 5) // one by the server and one by the client
	put("ca.crt", ca)
	p.shows("complete again", p.serial(), 5)
	put("ca.crt", append(ca, ca[:100]...))
	p.shows("half an authority again", p.serial(), 7)
}

// A client's files may be pipes, which are read once.
func TestPipes(t *testing.T) {
	m := must{t}
	dir := m.set()
	addr := serve(t, serverOf(dir), nil)
	client, pipe := clientOf(dir), filepath.Join(t.TempDir(), "key")
	key, err := os.ReadFile(string(client.Key))
	m.do(err)
	m.do(unix.Mkfifo(pipe, 0o600))
	client.Key = Path(pipe)
	go os.WriteFile(pipe, key, 0o600)
	creds, err := client.Credentials(func(err error) { t.Error(err) })
	m.do(err)
	for range 2 {
		_, err := call(t, addr, creds)
		m.do(err)
	}
	m.do(unix.Mkfifo(pipe+"2", 0o600))
	if _, err := (Server{Cert: in(dir, "server.crt"), Key: Path(pipe + "2")}).Config(nil); err == nil || !strings.Contains(err.Error(), "a pipe: want a regular file") {
		t.Errorf("got %v, want a regular file", err)
	}
}
