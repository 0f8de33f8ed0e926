// Package packaging tests what users deploy: the image, the service unit, and the files for
// Kubernetes and Compose. It is a module of its own, so that the types of Kubernetes and Compose
// are not dependencies of the main module.
package packaging

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	patience = 2 * time.Minute // for what must happen, on a machine however slow
	version  = "v0.0.0-packaging"
)

// root is the folder of the repository.
var root, _ = filepath.Abs("../..")

// output runs a command to its end, and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := try(t.Context(), name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
	return text
}

func try(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// eventually polls until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("after %v still no %s", patience, what)
		}
	}
}

// need skips the test where it cannot run as root with these programs.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s", program)
		}
	}
}

// makeStatic builds the binaries of the image.
func makeStatic(t *testing.T) (dir string) {
	t.Helper()
	output(t, "make", "static", "VERSION="+version)
	return filepath.Join(root, "bin", "static")
}
