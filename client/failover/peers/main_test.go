package main

import (
	"os"
	"testing"
	"time"
)

// The test binary plays the replicas.
func TestMain(m *testing.M) {
	if !playsReplica(os.Args) {
		os.Exit(m.Run())
	}
}

// launchOne starts a replica, which ends with the test.
func launchOne(tb testing.TB, addr, mode string) *replica {
	tb.Helper()
	r, err := launch(addr, mode)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.kill)
	return r
}

// launchAll starts one replica for each mode, at any ports.
func launchAll(tb testing.TB, modes ...string) (replicas []*replica, addrs []string) {
	tb.Helper()
	for _, m := range modes {
		r := launchOne(tb, anyPort, m)
		replicas, addrs = append(replicas, r), append(addrs, r.addr)
	}
	return replicas, addrs
}

// connect returns a connection that ends with the test.
func connect(tb testing.TB, c client, addrs []string) *connection {
	tb.Helper()
	conn, err := c.connect(addrs)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// atOnce returns the client with three attempts, which for failover is one round, and no pause.
// Attempts have the timeout, unless it is zero.
func atOnce(c client, timeout time.Duration) client {
	c.settings = settings{attempts: 3, timeout: timeout}
	if c.plain {
		c.settings.deadline = timeout
	}
	return c
}
