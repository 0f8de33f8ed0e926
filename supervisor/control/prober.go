package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/supervisor/spec"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	// keepIdle is how long an unused client is kept. Probes are seconds apart: an address that was
	// not probed for that long is no longer in use.
	keepIdle = time.Minute
	// buffer is enough for questions and answers of a hundred bytes. gRPC's default takes 32 KiB
	// each for reading and writing, for possibly hundreds of connections.
	buffer = 1 << 10
	// window is the smallest that gRPC allows. With a fixed window, gRPC does not send a ping at
	// every answer to find a better one.
	window = 64 << 10
)

// Prober asks services for their health by grpc.health.v1. The zero value is ready to use. Its
// methods may be called by any goroutine. Each address takes about 55 KiB of memory.
type Prober struct {
	// Credentials secure the connections. If they are nil, connections are not secured.
	Credentials credentials.TransportCredentials

	mu      sync.Mutex
	closed  bool
	clients map[string]*client // by address
}

// Health returns nil if the service at addr, HOST:PORT, answers that it is serving. The empty
// service is the server as a whole. Otherwise the error says what it answers, or why there is no
// answer; the answer NOT_SERVING wraps spec.ErrNotServing. Health is meant for
// supervisor.Config.Health.
//
// It asks at once and waits only for the answer, until ctx ends. Working connections are kept for
// further calls, for up to a minute.
func (p *Prober) Health(ctx context.Context, addr, service string) error {
	again, err := p.ask(ctx, addr, service)
	if again && ctx.Err() == nil {
		_, err = p.ask(ctx, addr, service)
	}
	return err
}

// Close closes the connections; those in use are closed after their answer.
func (p *Prober) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for addr, c := range p.clients {
		p.drop(addr, c)
	}
}

// ask asks once. Again reports whether a kept connection gave no answer, perhaps because it led to
// the previous incarnation.
func (p *Prober) ask(ctx context.Context, addr, service string) (again bool, err error) {
	c, kept := p.take(addr)
	if !kept {
		c.connect(ctx, addr, p.Credentials)
	}
	answered, err := c.ask(ctx, service)
	p.release(addr, c, answered)
	return kept && !answered, err
}

// take returns the client for an address, and whether it existed before. The caller must connect it
// unless it did, and release it.
func (p *Prober) take(addr string) (c *client, kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, kept = p.clients[addr]
	if !kept {
		c = &client{connected: make(chan struct{}), dropped: p.closed}
		if !p.closed {
			if p.clients == nil {
				p.clients = make(map[string]*client)
			}
			p.clients[addr] = c
		}
	}
	c.users++
	if c.forget != nil {
		c.forget.Stop()
	}
	return c, kept
}

// release gives back a client returned by take. A client that got no answer is not used again,
// because its connection may be dead.
func (p *Prober) release(addr string, c *client, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
	switch {
	case c.dropped:
		c.closeUnused()
	case !answered:
		p.drop(addr, c)
	case c.users > 0:
	case c.forget == nil:
		c.forget = time.AfterFunc(keepIdle, func() { p.forget(addr, c) })
	default:
		c.forget.Reset(keepIdle)
	}
}

func (p *Prober) forget(addr string, c *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// It may have been taken or dropped meanwhile.
	if c.users == 0 && !c.dropped {
		p.drop(addr, c)
	}
}

// drop removes a client, which is closed after its last use. The caller holds mu.
func (p *Prober) drop(addr string, c *client) {
	delete(p.clients, addr)
	c.dropped = true
	if c.forget != nil {
		c.forget.Stop()
	}
	c.closeUnused()
}

// client asks one address over one connection. Prober.mu guards users, dropped and forget.
type client struct {
	connected chan struct{}    // closed when connect has returned
	conn      *grpc.ClientConn // nil: err says why
	err       error
	dialed    dialed

	users   int         // calls of Health that are using it
	dropped bool        // it is no longer in Prober.clients
	forget  *time.Timer // nil until it first was without users
}

// connect dials before it makes a client of gRPC, because that costs several times as much as a
// dial that is refused, which is the usual answer of a replica that is starting.
func (c *client) connect(ctx context.Context, addr string, creds credentials.TransportCredentials) {
	defer close(c.connected)
	// Keep-alive would matter only if the server were silent for hours.
	d := net.Dialer{KeepAlive: -1}
	if c.dialed.Conn, c.err = d.DialContext(ctx, "tcp", addr); c.err != nil {
		if cause := context.Cause(ctx); cause != nil {
			c.err = fmt.Errorf("no answer: %w", cause)
		}
		return
	}
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	target := url.URL{Scheme: "passthrough", Path: "/" + addr} // the server name is that of addr
	c.conn, c.err = grpc.NewClient(target.String(),
		grpc.WithTransportCredentials(creds), grpc.WithContextDialer(c.dialed.take),
		grpc.WithIdleTimeout(0), // replaced by keepIdle
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer), grpc.WithStaticStreamWindowSize(window))
	if c.err != nil {
		c.dialed.close()
	}
}

// dialed is the connection that a client of gRPC uses.
type dialed struct {
	net.Conn
	taken atomic.Bool // by gRPC, which then closes it
}

// take is the dialer of a client of gRPC. It succeeds once.
func (d *dialed) take(context.Context, string) (net.Conn, error) {
	if d.taken.Swap(true) {
		return nil, errors.New("the connection is broken")
	}
	return d.Conn, nil
}

func (d *dialed) close() {
	if !d.taken.Swap(true) {
		d.Conn.Close()
	}
}

func (c *client) closeUnused() {
	if c.users == 0 && c.conn != nil {
		c.conn.Close()
		c.dialed.close()
	}
}

// ask returns whether there was an answer, and the error that the answer stands for, or why there
// was none.
func (c *client) ask(ctx context.Context, service string) (answered bool, err error) {
	select {
	case <-c.connected:
	case <-ctx.Done():
		return false, fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	if c.conn == nil {
		return false, c.err
	}
	reply, err := healthv1.NewHealthClient(c.conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service})
	switch s := status.Convert(err); s.Code() {
	case codes.OK:
		return true, meaning(reply.GetStatus())
	case codes.Unimplemented:
		return true, errors.New("it has no grpc.health.v1 service: register one, or probe by TCP")
	case codes.NotFound:
		return true, fmt.Errorf("it does not know the service %q", service)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return false, noAnswer(ctx, s)
	default:
		return true, err
	}
}

func noAnswer(ctx context.Context, s *status.Status) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("no answer: %w", cause)
	}
	if s.Code() == codes.DeadlineExceeded { // by the server's clock
		return fmt.Errorf("no answer: %w", context.DeadlineExceeded)
	}
	return fmt.Errorf("no answer: %s", s.Message())
}

// meaning returns nil if the service is serving.
func meaning(s healthv1.HealthCheckResponse_ServingStatus) error {
	switch s {
	case healthv1.HealthCheckResponse_SERVING:
		return nil
	case healthv1.HealthCheckResponse_NOT_SERVING:
		return notServing{}
	default:
		return fmt.Errorf("it says %v", s)
	}
}

// notServing is the answer of a service that is alive but not serving.
type notServing struct{}

func (notServing) Error() string { return "it says NOT_SERVING" }
func (notServing) Unwrap() error { return spec.ErrNotServing }
