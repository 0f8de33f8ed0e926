package control

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

const (
	childMode = "CONTROL_TEST_CHILD" // makes the test binary play a part instead of running tests
	patience  = processtest.Patience
)

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(childMode)
	play(mode, os.Args[1:])
}

// as returns the command line that makes the test binary play a part. It avoids the second that the
// race detector takes to exit.
func as(mode string, args ...string) []string {
	return append([]string{"env", "GORACE=atexit_sleep_ms=0", childMode + "=" + mode, os.Args[0]}, args...)
}

func play(mode string, args []string) {
	switch mode {
	case "serve": // until it gets a signal
	case "exit":
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "healthy": // serves health at as many addresses as the argument says
		n, _ := strconv.Atoi(args[0])
		for range n {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			server := grpc.NewServer()
			healthv1.RegisterHealthServer(server, health.NewServer())
			go server.Serve(l)
			fmt.Println(l.Addr())
		}
	default:
		panic(mode)
	}
	time.Sleep(5 * time.Minute) // longer than any test, but not forever
}
