package process

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// A program that others may execute, but not the supervisor, is passed over in PATH.
func TestLookPathSkipsWhatIsForbidden(t *testing.T) {
	dir := t.TempDir()
	forbidden, allowed := filepath.Join(dir, "x1", "prog"), filepath.Join(dir, "x2", "prog")
	for path, mode := range map[string]os.FileMode{forbidden: 0o011, allowed: 0o755} {
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	const nobody = 65534
	if os.Geteuid() == 0 {
		if err := os.Chown(forbidden, nobody, -1); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 { // root may execute what anybody may
			runtime.LockOSThread() // the thread ends with the goroutine
			if err = syscall.Setfsuid(nobody); err != nil {
				return
			}
		}
		got, err = LookPath("prog", dir, []string{"PATH=x1:x2"})
	}()
	<-done
	if err != nil || got != allowed {
		t.Errorf("got %q, %v, want %q", got, err, allowed)
	}
}
