package control

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// countingCredentials count the clients of gRPC that use them, and the handshakes.
type countingCredentials struct {
	credentials.TransportCredentials
	uses, handshakes atomic.Int64
}

func (c *countingCredentials) Info() credentials.ProtocolInfo {
	c.uses.Add(1)
	return c.TransportCredentials.Info()
}

func (c *countingCredentials) Clone() credentials.TransportCredentials { return c }

func (c *countingCredentials) ClientHandshake(ctx context.Context, name string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c.handshakes.Add(1)
	return c.TransportCredentials.ClientHandshake(ctx, name, conn)
}

// A probe that is refused makes no client of gRPC. One that is not makes one connection.
func TestRefusedProbesMakeNoClient(t *testing.T) {
	certs := certificates(t)
	for name, tc := range map[string]struct {
		client credentials.TransportCredentials
		server []grpc.ServerOption
	}{
		"plain": {client: insecure.NewCredentials()},
		"TLS":   {clientTLS(t, certs, certs), []grpc.ServerOption{grpc.Creds(serverTLS(t, certs))}},
	} {
		t.Run(name, func(t *testing.T) {
			c, p, addr := &countingCredentials{TransportCredentials: tc.client}, newProber(t), free(t)
			p.Credentials = c
			for range 20 {
				if err := p.Health(patient(t), addr, ""); err == nil {
					t.Fatal("health without a server")
				}
			}
			if n := c.uses.Load(); n != 0 {
				t.Errorf("credentials were used %d times for refused probes, want none", n)
			}
			r := serve(t, addr, true, tc.server...)
			for range 3 {
				if err := p.Health(patient(t), addr, ""); err != nil {
					t.Fatal(err)
				}
			}
			if uses, handshakes, conns := c.uses.Load(), c.handshakes.Load(), r.accepted.Load(); uses == 0 || handshakes != 1 || conns != 1 {
				t.Errorf("%d uses of the credentials, %d handshakes and %d connections; want some, 1 and 1", uses, handshakes, conns)
			}
		})
	}
}

// A probe that shares the dial of another one dials itself if that one fails, because the other
// one's context may have ended.
func TestProbeOutlivesTheDialThatItShares(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	c, _ := p.take(r.addr)
	healthy := make(chan error)
	go func() { healthy <- p.Health(patient(t), r.addr, "") }()
	processtest.Eventually(t, "second user", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return c.users == 2
	})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	c.connect(ended, r.addr, nil)
	if c.err == nil {
		t.Fatal("dialed although the context had ended")
	}
	p.release(r.addr, c, false)
	if err := <-healthy; err != nil {
		t.Errorf("got %v, want the answer that it serves", err)
	}
}

// A connection is closed even if gRPC did not take it.
func TestUnusedConnectionsAreClosed(t *testing.T) {
	r, p := serve(t, "127.0.0.1:0", true), newProber(t)
	c, _ := p.take(r.addr)
	c.connect(patient(t), r.addr, nil)
	p.release(r.addr, c, false)
	select {
	case <-r.closed:
	case <-patient(t).Done():
		t.Error("the connection was not closed")
	}
}
