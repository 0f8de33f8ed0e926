package main

import (
	"fmt"

	"google.golang.org/grpc/credentials"

	"example.com/crashlab/supervisor/transport"
)

// secure returns the credentials that the flags select. It may read pipes, so signals must not be
// caught yet. A warning about renewed certificates that cannot be used goes to stderr.
func secure(c transport.Client, out output) (credentials.TransportCredentials, error) {
	found, err := c.Credentials(stale(out))
	if err != nil {
		return nil, &exit{exitUsage, err.Error()}
	}
	return found, nil
}

// stale returns a function that prints why renewed certificates cannot be used.
func stale(out output) func(error) {
	return func(err error) {
		fmt.Fprintln(out.stderr, "crashlab: renewed certificates cannot be used, the old ones stay in use:", err)
	}
}
