//go:build linux

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := &report{heading: "Restarts", about: "How long they take.", columns: []string{"supervisor", "n", "× floor"}}
	r.row("ours", 12, figure(1.256))
	r.row("none", 3, unmeasured)
	r.bound("ours, p99", 7.131, 20)
	r.bound("killed and not back", 1, 0)
	r.bound("nothing", unmeasured, 1.5)
	var got strings.Builder
	r.print(&got)
	const want = `## Restarts

How long they take.

| supervisor |   n | × floor |
| ---------- | --: | ------: |
| ours       |  12 |    1.26 |
| none       |   3 |       – |

| bound               | measured | at most |    met |
| ------------------- | -------: | ------: | -----: |
| ours, p99           |     7.13 |      20 |    yes |
| killed and not back |        1 |       0 | **no** |
| nothing             |        – |     1.5 | **no** |
`
	if got.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &got, want)
	}
}

func TestEstimate(t *testing.T) {
	var all []time.Duration
	for n, want := range []string{
		"–", "1", "1", "2", "2", "3", "3 [1, 6]", "4 [1, 7]", "4 [2, 7]", "5 [2, 8]", "5 [2, 9]",
	} {
		if got := sampleOf(all).estimate(); got != want {
			t.Errorf("of the times from 1 to %d ms: %s, want %s", n, got, want)
		}
		all = append([]time.Duration{time.Duration(n+1) * time.Millisecond}, all...)
	}
}

// TestHeader has one supervisor that is not a Debian package, and one that is not installed.
func TestHeader(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, name := range []string{"runsvdir", "runsv", "s6-svscan", "s6-supervise", "bash", "dpkg-query"} {
		script := "#!/bin/sh\ncase $4 in runit) printf 2.1-3 ;; s6) exit 1 ;; esac\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var text strings.Builder
	printHeader(&text, "`make compare`", 90*time.Second+time.Millisecond, versions(t.Context()))
	for _, want := range []string{
		"Measured by `make compare` on ", " in 1m30s, on " + runtime.GOOS + "/" + runtime.GOARCH + " with ",
		" cores: " + runtime.Version() + ", bash of unknown version, s6 of unknown version, runit 2.1-3, supervisord not installed.\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the header is\n%s\nwant %q", &text, want)
		}
	}
}
