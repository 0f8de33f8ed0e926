package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/supervisor/transport"
)

// DefaultAddr is the default address of the control service. Its port is below the ephemeral range,
// next to those of the replicas, which begin at 7101.
const DefaultAddr = "127.0.0.1:7100"

const (
	// maxPath is the longest path of a socket that both Linux and macOS allow.
	maxPath = 103
	// dialTimeout limits the wait for a host that does not answer.
	dialTimeout = 5 * time.Second
)

// Listen listens at addr, which is HOST:PORT or unix:///PATH. Unless exposed is set, because
// connections are secured or need not be, a host that is not on loopback is an error that wraps
// [transport.ErrExposed].
//
// A socket at a path has mode 0600. On Linux, connections of users other than our own and root are
// closed even if the mode is changed later. A socket left behind by a supervisor that was killed is
// replaced. It is an error if a process listens at the path, or if there is a file that is not a
// socket.
func Listen(addr string, exposed bool) (net.Listener, error) {
	network, address, err := parse(addr)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return listenUnix(address)
	}
	l, err := transport.Listen(address, exposed)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%q: another process listens there: want an address that is free", addr)
	}
	return l, err
}

// NewClient returns a connection to the supervisor at addr, which has the form required by
// [Listen]. Without credentials it is not secured. It connects at the first call, which fails at
// once if no process listens there. It uses neither proxies nor service configurations from DNS.
func NewClient(addr string, c credentials.TransportCredentials) (*grpc.ClientConn, error) {
	network, address, err := parse(addr)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = insecure.NewCredentials()
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(c),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: dialTimeout}),
		grpc.WithDisableServiceConfig(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}),
	}
	if network == "unix" {
		options = append(options, grpc.WithAuthority("localhost")) // a path is not a valid authority
	}
	return grpc.NewClient("passthrough:///"+address, options...)
}

// parse returns the network and address for package net.
func parse(addr string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > maxPath {
			return "", "", fmt.Errorf("%q: want unix:///PATH, with an absolute path of at most %d bytes", addr, maxPath)
		}
		return "unix", path, nil
	}
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" || strings.HasPrefix(addr, "unix:") {
		return "", "", fmt.Errorf("%q: want HOST:PORT or unix:///PATH", addr)
	}
	return "tcp", addr, nil
}

func listenUnix(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is set before the path exists, so that others cannot connect at any moment. Where
	// the system does not allow that, it is set below.
	early := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	l, err := early.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, inUse(path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &guarded{l.(*net.UnixListener), permitted}, nil
}

// removeStale removes a socket at which no process listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("unix://%s: there is a file that is no socket: want a path that is free", path)
	}
	conn, err := net.DialTimeout("unix", path, dialTimeout)
	switch {
	case err == nil:
		conn.Close()
		return inUse(path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("unix://%s: it is unknown whether the socket is in use: %w", path, err)
	}
	return os.Remove(path)
}

func inUse(path string) error {
	return fmt.Errorf("unix://%s: another process listens there: want a path that is free", path)
}

// guarded is a listener that closes connections that are not permitted.
type guarded struct {
	*net.UnixListener
	permitted func(*net.UnixConn) bool
}

func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if g.permitted(conn) {
			return conn, nil
		}
		conn.Close()
	}
}
