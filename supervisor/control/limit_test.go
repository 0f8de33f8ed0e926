package control

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// One connection too many takes the place of the one that was idle for longest.
func TestIdlestConnectionIsClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := LimitConnections(l).(*limited)
	limited.most = 3
	defer limited.Close()
	var clients, servers []net.Conn
	connect := func() {
		t.Helper()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		server, err := limited.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		client.SetDeadline(time.Now().Add(patience))
		clients, servers = append(clients, client), append(servers, server)
	}
	send := func(from, to net.Conn) error {
		if _, err := from.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(to, make([]byte, 1))
		return err
	}
	for range 3 {
		connect()
	}
	for _, err := range []error{send(clients[0], servers[0]), send(servers[1], clients[1])} {
		if err != nil {
			t.Fatal(err)
		}
	}
	connect() // 2 is idle, 0 was read and 1 was written
	connect()
	for i, closed := range []bool{0: true, 2: true, 4: false} {
		err := send(servers[i], clients[i])
		if (err != nil) != closed || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d: %v, want that it is closed: %v", i, err, closed)
		}
	}
	servers[1].Close()
	connect() // in its place
	for _, i := range []int{3, 4, 5} {
		if err := send(clients[i], servers[i]); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if n := len(limited.open); n != 3 {
		t.Errorf("%d connections are open, want 3", n)
	}
}
