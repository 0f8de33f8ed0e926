// Package labtest has helpers for tests that run experiments. Only tests may import it.
package labtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/crashlab/client/experiment/design"
)

// Main is a TestMain: it builds counterd, the replicas' program, calls use with its path, runs the
// tests, and exits.
func Main(m *testing.M, use func(counterd string)) {
	code, err := run(m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, use func(counterd string)) (int, error) {
	folder, err := os.MkdirTemp("", "counterd")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	counterd := filepath.Join(folder, "counterd")
	if err := Build(counterd); err != nil {
		return 0, err
	}
	use(counterd)
	return m.Run(), nil
}

// Build builds counterd, the replicas' program, at path.
func Build(path string) error {
	if out, err := exec.Command("go", "build", "-o", path, "example.com/crashlab/services/cmd/counterd").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Design reads a design from YAML text.
func Design(t testing.TB, text string) *design.Design {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := design.Load(path, design.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
