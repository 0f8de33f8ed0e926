package main

import (
	"fmt"

	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor/transport"
)

// secure returns the credentials that the flags ask for. It may read pipes, so signals must not be
// caught yet. That renewed certificates cannot be used goes to stderr.
func secure(c transport.Client, out output) (credentials.TransportCredentials, error) {
	found, err := c.Credentials(stale(out))
	if err != nil {
		return nil, &exit{exitUsage, err.Error()}
	}
	return found, nil
}

// stale returns what reports that renewed certificates cannot be used.
func stale(out output) func(error) {
	return func(err error) { fmt.Fprintln(out.stderr, "crashlab: the certificates from before stay in use:", err) }
}
