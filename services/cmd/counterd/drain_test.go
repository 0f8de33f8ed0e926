package main

import (
	"net"
	"os"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func TestSignalDrains(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 1 s of a request in flight")
	}
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, "--service-time", "1s", "--drain-timeout", "10m")
			reply := beginGet(t, p.dial(t))
			p.Signal(sig)
			if got, err := reply(); err != nil || got.GetValue() != 1 {
				t.Errorf("the Get in flight = %v, %v; want 1", got, err)
			}
			if code := p.exitCode(t); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

func TestHealthSaysThatItDrains(t *testing.T) {
	// On a slow machine, lastNews may pass before NOT_SERVING is sent, but not every time.
	for range 20 {
		if saysThatItDrains(t) {
			return
		}
	}
	t.Error("in 20 drains no watch got NOT_SERVING")
}

// saysThatItDrains reports whether a watch of a draining counterd received NOT_SERVING before it
// ended.
func saysThatItDrains(t *testing.T) bool {
	t.Helper()
	p := start(t, "--drain-timeout", "10m")
	watch, err := healthv1.NewHealthClient(p.dial(t)).Watch(patiently(t), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := watch.Recv(); err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("health = %v, %v; want SERVING", reply.GetStatus(), err)
	}
	p.Signal(syscall.SIGTERM)
	reply, err := watch.Recv()
	if err == nil && reply.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Fatalf("health = %v; want NOT_SERVING", reply.GetStatus())
	}
	if code := p.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0: a watch must not hold up the drain", code)
	}
	return err == nil
}

// A silent connection, for which the Stop method of grpc waits.
func TestDrainTimeoutCutsOffMuteConnections(t *testing.T) {
	p := start(t, "--drain-timeout", "100ms")
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.Signal(syscall.SIGTERM)
	if code := p.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestDrainTimeoutCutsOffHungCalls(t *testing.T) {
	p := start(t, "--hang", "--drain-timeout", "100ms")
	reply := beginGet(t, p.dial(t))
	p.Signal(syscall.SIGTERM)
	if got, err := reply(); status.Code(err) != codes.Unavailable {
		t.Errorf("the hung Get = %v, %v; want Unavailable", got, err)
	}
	if code := p.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := start(t, "--hang", "--drain-timeout", "10m")
	beginGet(t, p.dial(t))
	p.Signal(syscall.SIGTERM)
	p.wait(t, "draining")
	p.Signal(syscall.SIGTERM)
	if code := p.exitCode(t); code != -1 {
		t.Errorf("exit code %d, want the end by a signal", code)
	}
}
