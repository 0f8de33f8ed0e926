package lifecycle

import (
	"net"
	"slices"
)

// Clash reports whether it is impossible to listen at both addresses, which are HOST:PORT. The host
// is an IP address, localhost, or empty for all addresses. Addresses of other forms clash if they
// are equal, and the empty one, which stands for none, with no other.
func Clash(a, b string) bool {
	if a == b {
		return a != ""
	}
	aHost, aPort, aErr := net.SplitHostPort(a)
	bHost, bPort, bErr := net.SplitHostPort(b)
	if aErr != nil || bErr != nil || aPort != bPort {
		return false
	}
	return slices.ContainsFunc(ips(aHost), func(x net.IP) bool {
		return slices.ContainsFunc(ips(bHost), func(y net.IP) bool {
			return x.Equal(y) || x.IsUnspecified() || y.IsUnspecified()
		})
	})
}

// ips returns the IP addresses that a host stands for. It does not resolve names.
func ips(host string) []net.IP {
	switch host {
	case "":
		return []net.IP{net.IPv6unspecified}
	case "localhost":
		return []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	if ip := net.ParseIP(host); ip != nil {
		return []net.IP{ip}
	}
	return nil
}
