package control

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// A connection beyond the limit replaces the one that has been idle longest.
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
	for i := range 3 {
		connect()
		if err := send(clients[i], servers[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(servers[0], clients[0]); err != nil {
		t.Fatal(err)
	}
	connect() // replaces 1, which has been idle longest
	connect() // replaces 3, from which nothing has come
	for i, closed := range map[int]bool{0: false, 1: true, 3: true, 4: false} {
		if err := send(servers[i], clients[i]); (err != nil) != closed || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d: %v, want that it is closed: %v", i, err, closed)
		}
	}
	servers[0].Close()
	connect() // replaces 0
	for _, i := range []int{2, 4, 5} {
		if err := send(clients[i], servers[i]); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if n := len(limited.open); n != 3 {
		t.Errorf("%d connections are open, want 3", n)
	}
}
