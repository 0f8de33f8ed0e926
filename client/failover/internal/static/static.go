// Package static is a gRPC resolver for targets that list their replicas, such as
// static:///127.0.0.1:7101,127.0.0.1:7102.
package static

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/resolver"
)

// Scheme is the scheme of the targets that Builder resolves.
const Scheme = "static"

// Parse returns the addresses of a list HOST:PORT[,HOST:PORT…] in their order. Each may occur only
// once; ports range from 1 to 65535.
func Parse(list string) ([]string, error) {
	if list == "" {
		return nil, fmt.Errorf("names no replica: want %s:///HOST:PORT[,HOST:PORT…]", Scheme)
	}
	addrs := strings.Split(list, ",")
	for i, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || host == "" || strings.ContainsAny(host, " \t") {
			return nil, fmt.Errorf("replica %q: want HOST:PORT", addr)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("replica %q: port %q: want 1 to 65535", addr, port)
		}
		addrs[i] = net.JoinHostPort(host, strconv.FormatUint(n, 10))
		if slices.Contains(addrs[:i], addrs[i]) {
			return nil, fmt.Errorf("replica %q is listed twice", addr)
		}
	}
	return addrs, nil
}

// Builder is the resolver.Builder of the scheme.
type Builder struct{}

// Scheme returns "static".
func (Builder) Scheme() string { return Scheme }

// OverrideAuthority returns the first address, because the whole list is not a host name.
func (Builder) OverrideAuthority(t resolver.Target) string {
	first, _, _ := strings.Cut(t.Endpoint(), ",")
	return first
}

// Build passes the listed addresses to the connection, once. Each address is its own server name
// for TLS.
func (Builder) Build(t resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	addrs, err := Parse(t.Endpoint())
	if err != nil {
		return nil, err
	}
	var state resolver.State
	for _, addr := range addrs {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{
			Addresses: []resolver.Address{{Addr: addr, ServerName: addr}},
		})
	}
	// The error asks for another resolution, which would find the same.
	_ = cc.UpdateState(state)
	return fixed{}, nil
}

// fixed is a resolver whose result never changes.
type fixed struct{}

func (fixed) ResolveNow(resolver.ResolveNowOptions) {}
func (fixed) Close()                                {}
