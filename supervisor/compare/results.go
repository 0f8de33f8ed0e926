//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type allCmd struct {
	Most uint `short:"n" placeholder:"N" help:"At most N restarts or launches in each measurement; 0: as many as each makes by default"`
}

// run makes all measurements and writes the results.
func (cmd *allCmd) run(ctx context.Context, supervisor string, w io.Writer) error {
	peers, delay, scale, output := new(peersCmd), new(delayCmd), new(scaleCmd), new(outputCmd)
	rounds := []*int{&peers.Rounds, &delay.Rounds, &scale.Runs, &output.Rounds}
	began, versions, reports := time.Now(), versions(ctx), new(bytes.Buffer)
	for i, m := range []measurement{peers, delay, scale, output} {
		if err := kong.ApplyDefaults(m); err != nil {
			return err
		}
		if cmd.Most > 0 {
			*rounds[i] = int(min(uint(*rounds[i]), cmd.Most))
		}
		fmt.Fprintln(reports)
		if err := measure(ctx, m, supervisor, reports); err != nil {
			return err
		}
	}
	flags, command := "", "`make compare`"
	if cmd.Most > 0 {
		flags = fmt.Sprintf(" -n %d", cmd.Most)
	}
	if supervisor != "" {
		flags += " --supervisor " + supervisor
	}
	if flags != "" {
		command = "`go run . all" + flags + "` in supervisor/compare"
	}
	printHeader(w, command, time.Since(began), versions)
	_, err := reports.WriteTo(w)
	return err
}

// printHeader writes what is above the reports.
func printHeader(w io.Writer, command string, took time.Duration, versions []string) {
	fmt.Fprintf(w, `Measured by %s on %s in %v, on %s/%s with %d cores: %s, %s.

The same small gRPC server, here called the child, runs under each supervisor. It records the time when it begins to run, when it listens, and
just before it exits with status 1, upon a signal. Supervisors that are compared run side by side: in each round, one child of each exits, one
after the other. A child exits after 1.1 s or more, because some supervisors delay the relaunch of one that ran for less than a second.

- fork+exec is the floor: a loop of fork, exec and wait, without anything else. bash is such a loop in a shell.
- crashlab is our supervisor, built as for a release, with readiness and liveness probes (gRPC), the control service, metrics, events, log
  files and a state directory.
- crashlab-no-probes is the same without the probes, and crashlab-bare has events alone.
- runit, s6 and supervisord have their defaults. The children of s6 report readiness, without which it relaunches them later.

Times are in ms. Brackets are 95%% intervals of the median, from order statistics, where there are 6 values or more.
`, command, time.Now().UTC().Format("2 January 2006"), took.Round(time.Second), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		runtime.Version(), strings.Join(versions, ", "))
}

// versions names the other supervisors with the versions of their Debian packages.
func versions(ctx context.Context) (all []string) {
	for _, p := range others() {
		if p.debian == "" {
			continue
		}
		version := "not installed"
		if p.missing() == "" {
			out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", p.debian).Output()
			if version = string(out); err != nil || version == "" {
				version = "of unknown version"
			}
		}
		all = append(all, p.name+" "+version)
	}
	return all
}
