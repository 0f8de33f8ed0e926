// Package integration tests the system from outside: it runs the real programs, and is a client
// like any other.
package integration

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/browsertest"
)

const (
	patience = 10 * time.Minute // limits waits for what must happen, on any machine
	never    = "24h"            // a restart delay that is longer than any test
)

// root is the directory of the module.
var root = filepath.Join("..", "..")

var (
	// lab is the working directory of the programs. They are in its bin, as in a checkout.
	lab string
	// clusterFile is a copy there of deploy/cluster.yaml.
	clusterFile string
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(ledgerVariable); folder != "" {
		err := serveLedger(folder, os.Args[1], os.Args[2])
		fmt.Fprintln(os.Stderr, "cannot serve:", err)
		os.Exit(1)
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if lab, err = os.MkdirTemp("", "crashlab"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(lab)
	clusterFile = filepath.Join(lab, "deploy", "cluster.yaml")
	text, err := os.ReadFile("../cluster.yaml")
	if err == nil {
		err = os.Mkdir(filepath.Dir(clusterFile), 0o700)
	}
	if err == nil {
		err = os.WriteFile(clusterFile, text, 0o600)
	}
	if err != nil {
		return 0, err
	}
	if err := claimPorts(); err != nil {
		return 0, err
	}
	defer ports.lock.Close()
	os.Unsetenv("CRASHLAB_INCARNATION") // a supervisor that runs the tests may have set it
	// Otherwise a program that is built with -race would still serve for a second after os.Exit.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	args := []string{"build", "-o", filepath.Join(lab, "bin") + string(filepath.Separator)}
	if raced {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./services/cmd/counterd", "./supervisor/cmd/supervisor", "./client/cmd/crashlab", "./deploy/certs")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	defer browsertest.End()
	if err := runSideBySide(8); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// runSideBySide lets n parallel tests run at a time, unless -parallel is set: they wait more than
// they compute.
func runSideBySide(n int) error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(n))
}

// long skips a test with -short.
func long(t *testing.T, what string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: " + what)
	}
}

// lookAtSources makes the directories of the module inputs of the tests. Otherwise go test, which
// does not know what the programs are built from, would reuse earlier results after a change there.
// It records inputs only after the tests have begun.
var lookAtSources = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // the directory of another test, which has removed it
			return nil
		case err == nil && d.IsDir() && path != root && (d.Name() == "bin" || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		}
		return err
	})
})
