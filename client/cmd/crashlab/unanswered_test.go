package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	counterv1 "example.com/crashlab/gen/counter/v1"
)

// If nothing answers, one line says so, with the reason and what to do.
func TestNothingAnswers(t *testing.T) {
	t.Parallel()
	const want = "crashlab: no replica answers at 127.0.0.1:1, 127.0.0.1:2 (connect: connection refused); start one with make run-cluster\n"
	for _, args := range []string{
		"get", "get --rounds=1 --pause=0s", "load -n5", "load -n5 --json", "load -n5 -q --rate=1000",
		"load -n1 --when-down=wait --deadline=10ms",
		"load --duration=1h --rounds=1 --pause=1ms", // gives up
		"load --calls=1000000 --rounds=1 --pause=1ms -q",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			stdout, err := os.CreateTemp(t.TempDir(), "stdout")
			if err != nil {
				t.Fatal(err)
			}
			defer stdout.Close()
			p := start(t, stdout, append(strings.Fields(args), "--target=127.0.0.1:1,127.0.0.1:2")...)
			<-p.ended
			got := p.stderr.String()
			if code := p.ProcessState.ExitCode(); code != exitFailed || got != want {
				t.Errorf("exit code %d, %q, want %q", code, got, want)
			}
			if text, err := os.ReadFile(stdout.Name()); err != nil || len(text) > 0 || strings.Count(got, "\n") != 1 {
				t.Errorf("more than one line: %s%s, %v", text, got, err)
			}
		})
	}
}

// A load that begins while no replica is up shows all its calls once one answers.
func TestReplicaThatComesLate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	var c counter
	late := time.AfterFunc(time.Second, func() { // usually after the first dial, but that is not required
		lis, err := net.Listen("unix", path)
		if err != nil {
			t.Error(err)
			return
		}
		server := grpc.NewServer()
		counterv1.RegisterCounterServer(server, &c)
		t.Cleanup(server.Stop)
		go server.Serve(lis)
	})
	defer late.Stop()
	args := []string{"load", "-n2", "-c1", "--when-down=wait", "--deadline=2m", "--timeout=0s", "--target=unix:" + path}
	code, stdout, stderr := crashlab(t.Context(), args...)
	if code != 0 || strings.Count(stdout, "=== Logical Request ") != 2 || strings.Count(stdout, " served by ") != 2 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}
