package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The ledger is a service whose only method must not be executed twice: no descriptor says that it
// is idempotent. The test binary plays its replicas if LEDGER names the directory of their ledgers.
// A ledger has a line for each execution, with the number of the request, and survives kill -9.
const (
	ledgerVariable = "LEDGER"
	ledgerMethod   = "/ledger.Ledger/Enter"
)

// ledgerWork is the time from the execution to the reply. In this time many of the kills happen.
const ledgerWork = 2 * time.Millisecond

// ledger is the file to which a replica appends.
type ledger struct{ file *os.File }

var ledgerService = grpc.ServiceDesc{
	ServiceName: "ledger.Ledger",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Enter",
		Handler: func(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			number := new(wrapperspb.UInt64Value)
			if err := decode(number); err != nil {
				return nil, err
			}
			return new(emptypb.Empty), srv.(ledger).enter(number.GetValue())
		},
	}},
}

// enter executes a request. It writes the line at once, so that a kill cannot split it.
func (l ledger) enter(number uint64) error {
	if _, err := l.file.WriteString(strconv.FormatUint(number, 10) + "\n"); err != nil {
		return err
	}
	time.Sleep(ledgerWork)
	return nil
}

// serveLedger runs a replica of the ledger. It returns only an error.
func serveLedger(folder, addr, name string) error {
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(&ledgerService, ledger{file})
	healthv1.RegisterHealthServer(server, health.NewServer())
	fmt.Fprintln(os.Stderr, "listening")
	return server.Serve(listener)
}

// startLedger starts three replicas of the ledger, and returns the directory of their ledgers too.
func startLedger(t *testing.T) (c *cluster, folder string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	file := write(t, fmt.Sprintf("command: [%q, '{addr}', '{name}']\nenv: {%s: %q}\nrestart_delay: 100ms\n", self, ledgerVariable, folder))
	return launch(t, 3, []string{"--config=" + file}), folder
}

// executions returns how often each number is in the ledgers.
func executions(t *testing.T, folder string) map[int]int {
	t.Helper()
	n := map[int]int{}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line, ended := strings.CutSuffix(line, "\n")
			if !ended {
				continue // incomplete
			}
			number, err := strconv.Atoi(line)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			n[number]++
		}
	}
	return n
}
