package main

import (
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"

	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/fault"
)

// faulty serves the faults of a replica, and returns the address.
func faulty(t *testing.T) string {
	t.Helper()
	injector, err := fault.New(fault.Plan{Replica: "a", Incarnation: 1}, fault.Faults{CrashProbability: 0.3}, func(fault.Crash) {})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	faultv1.RegisterFaultServer(server, fault.NewService(injector))
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

func TestFaults(t *testing.T) {
	a, b := faulty(t), faulty(t)
	for _, tt := range []struct {
		args   string
		code   int
		stdout string
		stderr string // a part of it
	}{
		{"get " + a + " " + b, 0, a + ": --p-crash 0.3\n" + b + ": --p-crash 0.3\n", ""},
		{"set --p-crash 0 --service-time exp:50ms --hang " + a, 0, a + ": --service-time exp:50ms --hang\n", ""},
		{"set --crash-point reply --error-probability 0.5 --error-code ABORTED " + b, 0,
			b + ": --p-crash 0.3 --crash-point reply --error-probability 0.5 --error-code ABORTED\n", ""},
		{"set --no-hang --service-time 0s " + a, 0, a + ": none\n", ""},
		{"set --error-code OOPS " + a, 1, "", a + `: error_code "OOPS": want the name of a gRPC status`},
		{"set " + a, 2, "", "no fault given"},
		{"set --p-crash 2 " + a, 2, "", `--p-crash "2": want a number from 0 to 1`},
		{"get 127.0.0.1:1 " + a, 1, a + ": none\n", "crashlab: 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused\n"},
		{"get 127.0.0.1:1 127.0.0.1:2", 1, "",
			"crashlab: no replica answers at 127.0.0.1:1, 127.0.0.1:2 (connect: connection refused); start one with make run-cluster\n"},
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), append([]string{"fault"}, strings.Fields(tt.args)...), &stdout, &stderr)
		if code != tt.code || stdout.String() != tt.stdout || !strings.Contains(stderr.String(), tt.stderr) || (code == 0) != (stderr.String() == "") {
			t.Errorf("fault %s: exit code %d, %q, %q; want %d, %q, %q", tt.args, code, stdout.String(), stderr.String(), tt.code, tt.stdout, tt.stderr)
		}
	}
}
