package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// With playReplica as its first argument, this program plays a replica. The other arguments are its
// address and its mode.
const (
	playReplica = "replica"

	anyPort = "any" // in place of an address

	serving   = "serving"   // answers, until a request tells it to crash
	unwilling = "unwilling" // answers with Unavailable
)

// crashHeader is the metadata of a request that makes the replica of that address crash.
const crashHeader = "crash"

// playsReplica plays a replica to its end if the arguments say so, and reports whether it did.
func playsReplica(args []string) bool {
	if len(args) != 4 || args[1] != playReplica {
		return false
	}
	if err := serve(args[2], args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "replica:", err)
		os.Exit(2)
	}
	return true
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

// launch starts a replica, and returns when it listens. It ends with this process at the latest.
func launch(addr, mode string) (*replica, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &replica{cmd: exec.Command(exe, playReplica, addr, mode)}
	r.cmd.Stderr = os.Stderr
	_, err = r.cmd.StdinPipe() // closed when this process ends, however it does
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	if r.addr, err = r.line(); err != nil {
		r.kill()
		return nil, err
	}
	return r, nil
}

// line returns what the replica prints next.
func (r *replica) line() (string, error) {
	s, err := r.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the replica has ended: %w", err)
	}
	return strings.TrimSuffix(s, "\n"), nil
}

// kill ends the replica's process, if that has not ended, and returns when it has.
func (r *replica) kill() {
	if r.cmd.ProcessState == nil {
		r.cmd.Process.Kill()
		r.cmd.Wait()
	}
}
