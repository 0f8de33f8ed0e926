package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/transport"
)

// Other machines can reach the control service only if that is allowed explicitly, even if the
// first check of the address does not notice.
func TestControlIsExposedOnlyExplicitly(t *testing.T) {
	s := clusterfile.Settings{Control: "0.0.0.0:0"}
	_, err := listenControl(s, nil)
	if _, bad := errors.AsType[*inputfile.Mistake](err); !bad || !strings.HasPrefix(err.Error(), `--control: "0.0.0.0:0": other machines can reach it`) {
		t.Errorf("got %v", err)
	}
	s.Insecure = true
	l, err := listenControl(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// A Unix socket is protected by its permissions, so the certificates are not even read.
func TestControlOverAUnixSocketHasNoTLS(t *testing.T) {
	s := clusterfile.Settings{Control: "unix://" + socketDir(t) + "/s", Serve: transport.Server{Cert: "missing", Key: "missing"}}
	l, err := listenControl(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.credentials != nil {
		t.Errorf("credentials %v, want none", l.credentials.Info())
	}
}

// socketDir returns a directory with a path short enough for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A reload restores a socket that was removed. Neither replicas nor connected clients are affected.
func TestReloadRestoresTheControlSocket(t *testing.T) {
	dir := socketDir(t) + "/run"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	addr := "unix://" + path
	text := fmt.Sprintf("replicas: 1\ncommand: [%q]\ncontrol: {addr: %q}\n", os.Args[0], addr)
	p := start(t, "serve", "--config", write(t, text))
	p.pids(1)
	watch := ctlLines(t, addr, "watch", "--after", "0")
	<-watch // the watch is connected
	conn, err := control.NewClient(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reload := func() error {
		_, err := supervisorv1.NewSupervisorClient(conn).Reload(t.Context(), &supervisorv1.ReloadRequest{})
		return err
	}
	if err := reload(); err != nil {
		t.Error(err)
	}
	same := func() {
		t.Helper()
		shows(t, addr, []string{ctlHeader, fmt.Sprintf("a +ready +%d +1 .*", p.pid("a"))}, "list")
	}
	same()

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.reload(text, "[INFO]  supervisor: reloaded")
	same()

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := reload(); err != nil { // over the old connection
		t.Error(err)
	}
	same()

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := reload(); err == nil || !strings.Contains(err.Error(), "the control socket is gone: ") {
		t.Errorf("reload without the directory of the socket: %v", err)
	}
	p.reload(text, "[INFO]  supervisor: reloaded")
	contains(t, p.stderr.text(), []string{"failed to restore the control socket: error=\"the control socket is gone: "})
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.reload(text, "[INFO]  supervisor: reloaded")
	same()

	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	var last string
	for line := range watch {
		last = line
	}
	if !strings.Contains(last, "a removed") {
		t.Errorf("the watcher's last line is %q, want the replica's end", last)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left")
	}
}

// A socket that another process has created at the path is left alone.
func TestForeignControlSocketIsKept(t *testing.T) {
	path := filepath.Join(socketDir(t), "s")
	addr := "unix://" + path
	text := fmt.Sprintf("replicas: 1\ncommand: [%q]\ncontrol: {addr: %q}\n", os.Args[0], addr)
	p := start(t, "serve", "--config", write(t, text))
	p.pids(1)
	if err := os.Rename(path, path+".old"); err != nil { // so that its inode is not reused
		t.Fatal(err)
	}
	l, err := control.Listen(addr, false)
	if err != nil {
		t.Fatal(err)
	}
	c := startControlled(t, l, sleepers("web", 1))
	p.reload(text, "unix://"+path+": another process listens there")
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	shows(t, c.addr, []string{ctlHeader, "web0 +ready .*"}, "list")
}
