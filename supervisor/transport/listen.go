package transport

import (
	"errors"
	"fmt"
	"net"
)

// ErrExposed is wrapped by the error for an address that other machines can reach without TLS.
var ErrExposed = errors.New("other machines can reach it without TLS: want --tls-cert and --tls-key, an address on loopback such as 127.0.0.1, or --insecure")

// Listen listens at addr, which is HOST:PORT. Unless exposed is set, because connections are
// secured or need not be, a host that is not on loopback is an error that wraps [ErrExposed].
func Listen(addr string, exposed bool) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%q: want HOST:PORT: %w", addr, err)
	}
	if !exposed && !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("%q: %w", addr, ErrExposed)
	}
	return net.ListenTCP("tcp", tcp)
}
