package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
)

// illness is a temporary fault of a replica.
type illness int

const (
	illHangs          illness = iota // requests are read and never answered
	illStopped                       // connections are accepted, but nothing is read or written, as by a stopped process
	illRefuses                       // there is no process
	illBlackHole                     // as behind a partition: nothing arrives, not even dials
	illHangsUp                       // each request breaks the connection
	illFails                         // each request is answered with Unavailable
	illSlow                          // each request takes ten times as long
	illRestarts                      // the process shuts down gracefully and is back at once, again and again
	illRefusesStreams                // each request is answered with REFUSED_STREAM
	illGoesAway                      // each request is answered with a GOAWAY that declares it unprocessed
	illCutOff                        // as behind a long partition: nothing arrives, and on connections from before nothing ever does
	illnesses                        // the number of illnesses in random worlds

	illDrains = illnesses // at the beginning, the process shuts down gracefully, and another replaces it at once
)

var illnessNames = [...]string{"illHangs", "illStopped", "illRefuses", "illBlackHole", "illHangsUp", "illFails", "illSlow", "illRestarts", "illRefusesStreams", "illGoesAway", "illCutOff", "illDrains"}

func (i illness) String() string { return illnessNames[i] }

// phase is an illness with its begin and end.
type phase struct {
	ill         illness
	from, until time.Duration
}

// patient is a replica of a world, with its illnesses.
type patient struct {
	addr     string
	pushback string // with the answers of illFails, unless empty
	service  func(context.Context) time.Duration
	phases   []phase
	born     time.Time

	healthv1.UnimplementedHealthServer

	mu       sync.Mutex // guards what follows
	requests int        // of calls
	conns    map[*gated]bool
	lis      *bufconn.Listener
	server   *grpc.Server
	over     chan struct{}
}

// now returns the current illness and its end, or false if there is none.
func (p *patient) now() (phase, bool) {
	t := time.Since(p.born)
	for _, x := range p.phases {
		if x.from <= t && t < x.until {
			return x, true
		}
	}
	return phase{}, false
}

func (p *patient) is(kinds ...illness) (until time.Time, yes bool) {
	x, ill := p.now()
	for _, k := range kinds {
		if ill && x.ill == k {
			return p.born.Add(x.until), true
		}
	}
	return time.Time{}, false
}

func newPatient(t testing.TB, addr string, phases []phase, service func(context.Context) time.Duration) *patient {
	p := &patient{addr: addr, service: service, phases: phases, born: time.Now(), conns: map[*gated]bool{}, over: make(chan struct{})}
	p.serve()
	var life sync.WaitGroup
	for _, x := range phases {
		life.Go(func() { p.live(x) })
	}
	t.Cleanup(func() {
		close(p.over)
		life.Wait()
		p.hangUp()
		p.mu.Lock()
		server := p.server
		p.mu.Unlock()
		server.Stop()
	})
	return p
}

// live performs what happens by itself in a phase.
func (p *patient) live(x phase) {
	if !p.sleep(time.Until(p.born.Add(x.from))) {
		return
	}
	switch x.ill {
	case illRefuses:
		p.hangUp()
	case illRefusesStreams, illGoesAway:
		p.hangUp()
		if p.sleep(time.Until(p.born.Add(x.until))) {
			p.hangUp()
		}
	case illDrains:
		p.mu.Lock()
		old := p.server
		p.mu.Unlock()
		p.serve()
		old.GracefulStop()
	case illRestarts:
		for time.Since(p.born) < x.until {
			p.mu.Lock()
			old := p.server
			p.mu.Unlock()
			p.serve()
			old.GracefulStop()
			if !p.sleep(500 * time.Millisecond) {
				return
			}
		}
	}
}

// sleep returns false if the world ends first.
func (p *patient) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.over:
		return false
	}
}

func (p *patient) serve() {
	server, lis := grpc.NewServer(grpc.UnknownServiceHandler(p.work)), bufconn.Listen(64<<10)
	healthv1.RegisterHealthServer(server, p)
	p.mu.Lock()
	p.server, p.lis = server, lis
	p.mu.Unlock()
	go server.Serve(gatedListener{lis, p})
}

// hangUp breaks all connections.
func (p *patient) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Conn.Close()
	}
	clear(p.conns)
}

func (p *patient) dial(ctx context.Context) (net.Conn, error) {
	if until, yes := p.is(illBlackHole); yes {
		select {
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.over:
			return nil, errors.New("the world is over")
		}
	}
	for wait := time.Second; ; wait *= 2 { // as TCP retransmits a SYN
		if _, yes := p.is(illCutOff); !yes {
			break
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.over:
			return nil, errors.New("the world is over")
		}
	}
	if _, yes := p.is(illRefuses); yes {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	if x, ill := p.now(); ill && unprocessed[x.ill] != nil {
		return p.dialRaw(unprocessed[x.ill]), nil
	}
	p.sleep(sooner) // a dial that is refused ends earlier
	p.mu.Lock()
	lis := p.lis
	p.mu.Unlock()
	return lis.DialContext(ctx)
}

// unprocessed answers a request as not processed.
var unprocessed = map[illness]func(*http2.Framer, uint32) bool{
	illRefusesStreams: resetStream(http2.ErrCodeRefusedStream),
	illGoesAway:       goAway,
}

// dialRaw connects to a server that answers each request with frames.
func (p *patient) dialRaw(answer func(*http2.Framer, uint32) bool) net.Conn {
	lis := bufconn.Listen(64 << 10)
	go func() {
		conn, err := gatedListener{lis, p}.Accept()
		if err != nil {
			return
		}
		serveRaw(conn, func(method string) {
			if method == workMethod {
				p.mu.Lock()
				p.requests++
				p.mu.Unlock()
			}
		}, answer)
	}()
	client, err := lis.Dial()
	if err != nil {
		panic(err) // the listener accepts
	}
	return client
}

func (p *patient) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, p.answer(ctx)
}

// work answers the calls.
func (p *patient) work(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
		return err
	}
	p.mu.Lock()
	p.requests++
	p.mu.Unlock()
	if err := p.answer(stream.Context()); err != nil {
		return err
	}
	return stream.SendMsg(new(emptypb.Empty))
}

// soon is how long the quickest answer takes, and sooner how long a dial takes. No effect is
// simultaneous with its cause.
const (
	soon   = time.Microsecond
	sooner = 300 * time.Nanosecond
)

// answer answers a request.
func (p *patient) answer(ctx context.Context) error {
	takes := p.service(ctx)
	if x, ill := p.now(); ill {
		switch x.ill {
		case illHangs:
			<-ctx.Done()
			p.sleep(soon)
			return status.FromContextError(ctx.Err()).Err()
		case illHangsUp:
			p.sleep(soon)
			p.hangUp()
		case illFails:
			p.sleep(soon)
			if p.pushback != "" {
				grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", p.pushback))
			}
			return status.Error(codes.Unavailable, "ill")
		case illSlow:
			takes *= 10
		}
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		p.sleep(soon) // so that the caller's deadline passes first
		return status.FromContextError(ctx.Err()).Err()
	}
}

// gatedListener is a listener whose connections a phase can stop.
type gatedListener struct {
	*bufconn.Listener
	p *patient
}

func (l gatedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &gated{conn, l.p, time.Since(l.p.born)}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.conns[c] = true
	return c, nil
}

// gated is the server's end of a connection.
type gated struct {
	net.Conn
	p    *patient
	born time.Duration // since the patient's
}

// dead reports whether the patient has been cut off since the connection was made.
func (c *gated) dead() bool {
	now := time.Since(c.p.born)
	return slices.ContainsFunc(c.p.phases, func(x phase) bool { return x.ill == illCutOff && c.born <= x.from && x.from <= now })
}

// pass waits until the process runs and can be reached.
func (c *gated) pass() error {
	for {
		if c.dead() {
			<-c.p.over
			return net.ErrClosed
		}
		until, stopped := c.p.is(illStopped, illBlackHole)
		if !stopped {
			return nil
		}
		if !c.p.sleep(time.Until(until)) {
			return net.ErrClosed
		}
	}
}

// Read also waits after reading: a stopped process does not see what arrived before until it runs
// again.
func (c *gated) Read(b []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if stopped := c.pass(); stopped != nil {
		return 0, stopped
	}
	return n, err
}

func (c *gated) Write(b []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *gated) Close() error {
	c.p.mu.Lock()
	delete(c.p.conns, c)
	c.p.mu.Unlock()
	return c.Conn.Close()
}

// serviceTimes are distributions of service times with a given mean.
var serviceTimes = map[string]func(rnd *rand.Rand, mean time.Duration) time.Duration{
	"constant": func(_ *rand.Rand, mean time.Duration) time.Duration { return mean },
	"exponential": func(rnd *rand.Rand, mean time.Duration) time.Duration {
		return time.Duration(rnd.ExpFloat64() * float64(mean))
	},
	"bimodal": func(rnd *rand.Rand, mean time.Duration) time.Duration { // one in ten takes ten times as long as the others
		d := mean * 10 / 19
		if rnd.IntN(10) == 0 {
			d *= 10
		}
		return d
	},
}
