package peers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The test binary plays a replica when its first argument says so. The others are its address and
// its mode.
const (
	playReplica = "replica"

	anyPort = "any" // in place of an address

	serving   = "serving"   // answers, until a request tells it to crash
	unwilling = "unwilling" // answers with Unavailable
)

// crashHeader is the metadata of a request that makes the replica of that address crash.
const crashHeader = "crash"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == playReplica {
		if err := serve(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "replica:", err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is a replica: it prints its address once it listens, and lives as long as its standard
// input.
func serve(addr, mode string) error {
	lis, err := listen(addr)
	if err != nil {
		return err
	}
	addr = lis.Addr().String()
	faults := crashOnRequest(addr)
	if mode == unwilling {
		faults = refuse
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(faults))
	healthv1.RegisterHealthServer(server, health.NewServer())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	fmt.Println(addr)
	return server.Serve(lis)
}

// listen takes a port below the ephemeral range when it may take any: a client's own socket could
// else have it when a replica that was down is to listen again.
func listen(addr string) (net.Listener, error) {
	if addr != anyPort {
		return net.Listen("tcp", addr)
	}
	for range 1000 {
		if lis, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))); err == nil {
			return lis, nil
		}
	}
	return nil, fmt.Errorf("no free port")
}

func refuse(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, status.Error(codes.Unavailable, "as told")
}

// crashOnRequest exits where a request says so, and prints the time just before.
func crashOnRequest(addr string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if who := metadata.ValueFromIncomingContext(ctx, crashHeader); len(who) == 1 && who[0] == addr {
			fmt.Println(time.Now().UnixNano())
			os.Exit(1)
		}
		return handler(ctx, req)
	}
}

// replica is a replica's process, as its parent sees it.
type replica struct {
	addr string
	cmd  *exec.Cmd
	out  *bufio.Reader
}

// launch starts a replica, and returns when it listens. It ends with the test at the latest.
func launch(tb testing.TB, addr, mode string) *replica {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	r := &replica{cmd: exec.Command(exe, playReplica, addr, mode)}
	r.cmd.Stderr = os.Stderr
	_, err = r.cmd.StdinPipe() // closed when this process ends, however it does
	if err != nil {
		tb.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.kill)
	r.addr = r.line(tb)
	return r
}

// launchAll starts one replica for each mode, at any ports.
func launchAll(tb testing.TB, modes ...string) (replicas []*replica, addrs []string) {
	tb.Helper()
	for _, m := range modes {
		r := launch(tb, anyPort, m)
		replicas, addrs = append(replicas, r), append(addrs, r.addr)
	}
	return replicas, addrs
}

// line returns what the replica prints next.
func (r *replica) line(tb testing.TB) string {
	tb.Helper()
	s, err := r.out.ReadString('\n')
	if err != nil {
		tb.Fatalf("the replica has ended: %v", err)
	}
	return strings.TrimSuffix(s, "\n")
}

// crashed returns when the replica crashed, by its own clock, once its process has ended.
func (r *replica) crashed(tb testing.TB) time.Time {
	tb.Helper()
	ns, err := strconv.ParseInt(r.line(tb), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	r.cmd.Wait() // that it exits with 1 is the error
	if code := r.cmd.ProcessState.ExitCode(); code != 1 {
		tb.Fatalf("the replica exited with %d, want 1", code)
	}
	return time.Unix(0, ns)
}

// kill ends the replica's process, if that has not ended, and returns when it has.
func (r *replica) kill() {
	if r.cmd.ProcessState == nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	}
}
