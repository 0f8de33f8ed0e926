package control

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// keepIdle is how long a connection is kept that nobody asks by. Probes are
// seconds apart: an address that has not been asked for so long is gone.
const keepIdle = time.Minute

// Prober asks services for their health by grpc.health.v1. The zero value is
// ready to use, by any number of goroutines.
//
// A question by a kept connection is one write, and a read or two, of a hundred
// bytes. It costs mostly what waking up for the answer does: least where many
// are asked at the same moment. A kept connection takes about 15 KiB without
// TLS, and a goroutine.
type Prober struct {
	// Credentials secure the connections. Nil: they are not.
	Credentials credentials.TransportCredentials

	mu     sync.Mutex
	closed bool
	idle   map[string]*link // by address
}

// Health returns nil if the service at addr, HOST:PORT, says that it serves;
// the empty service is the server as a whole. Else the error says what it
// says, or why there is no answer. It fits supervisor.Config.Health.
//
// It asks once, at once: nothing is waited for but the answer, until ctx ends.
// Connections that work are kept for the next time, up to a minute.
func (p *Prober) Health(ctx context.Context, addr, service string) error {
	if kept := p.take(addr); kept != nil {
		answered, err := p.ask(ctx, kept, addr, service)
		if answered || ctx.Err() != nil {
			return err
		}
		// The connection broke, which may be the fault of the incarnation before.
	}
	fresh, err := p.dial(ctx, addr)
	if err != nil {
		return err
	}
	_, err = p.ask(ctx, fresh, addr, service)
	return err
}

// Close closes the connections. Those in use close after their answer.
func (p *Prober) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for addr, l := range p.idle {
		delete(p.idle, addr)
		l.close()
	}
}

// take returns a connection that was kept, which then is the caller's alone;
// nil if there is none.
func (p *Prober) take(addr string) *link {
	p.mu.Lock()
	l := p.idle[addr]
	delete(p.idle, addr)
	p.mu.Unlock()
	if l != nil {
		l.forget.Stop()
	}
	return l
}

// keep keeps a connection for the next time.
func (p *Prober) keep(addr string, l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.idle[addr] != nil {
		l.close()
		return
	}
	if p.idle == nil {
		p.idle = make(map[string]*link)
	}
	p.idle[addr] = l
	if l.forget == nil {
		l.forget = time.AfterFunc(keepIdle, func() { p.forget(addr, l) })
	} else {
		l.forget.Reset(keepIdle)
	}
}

func (p *Prober) forget(addr string, l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// It may have been taken in the meantime.
	if p.idle[addr] == l {
		delete(p.idle, addr)
		l.close()
	}
}

// ask asks by a connection, which it keeps or closes. It reports whether there
// was an answer.
func (p *Prober) ask(ctx context.Context, l *link, addr, service string) (answered bool, err error) {
	answered, again, err := l.ask(ctx, service)
	if again {
		p.keep(addr, l)
	} else {
		l.close()
	}
	if !answered {
		err = noAnswer(ctx, err)
	}
	return answered, err
}

func noAnswer(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("no answer: %w", err)
}

func (p *Prober) dial(ctx context.Context, addr string) (*link, error) {
	// The server would have to be silent for hours for keep-alive to matter.
	d := net.Dialer{KeepAlive: -1}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l, err := p.link(ctx, raw, addr)
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	return l, nil
}

// link makes a link of a connection, which is forgotten as soon as it is lost.
func (p *Prober) link(ctx context.Context, raw net.Conn, addr string) (*link, error) {
	c := p.Credentials
	if c == nil {
		c = insecure.NewCredentials()
	}
	l, err := newLink(ctx, raw, addr, c)
	if err != nil {
		return nil, err
	}
	go func() {
		l.read()
		p.forget(addr, l)
	}()
	return l, nil
}
