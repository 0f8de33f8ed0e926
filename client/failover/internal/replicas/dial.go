package replicas

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/connectivity"
)

// Redial says how often replicas are dialed and the resolver is asked.
type Redial struct {
	// Every is the mean time between two dials of a replica that is down while calls want it, with
	// a jitter of 20%. It must be positive.
	Every time.Duration
	// Linger is how long after the last call replicas still count as wanted. It must be positive.
	Linger time.Duration
	// PerSecond is how many addresses may be dialed in any second, at all replicas together. The
	// first dial of a replica does not count if it succeeds. Zero means 100.
	PerSecond int
	// Timeout bounds a dial, including the handshake. Zero means that only gRPC's own bound
	// applies.
	Timeout time.Duration
	// Resolve is how often the resolver is asked periodically. Zero or less means never.
	Resolve time.Duration
}

func newPickFirst(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	return balancer.Get(pickfirst.Name).Build(cc, opts)
}

// Wake makes sure that the replica's state is recent: if a dial is due, it dials at once. It
// returns the number of the dial that an attempt must wait for: the one under way, the last one if
// it failed and no other is due yet, or else the next one.
func (r *Replica) Wake() (dial uint64) {
	r.set.want()
	if dial, ok := r.awaited(false); ok {
		return dial
	}
	r.policy.control.Lock()
	r.dial()
	r.policy.control.Unlock()
	dial, _ = r.awaited(true)
	return dial
}

// awaited returns the number that Wake returns. It returns false if a dial is due first. dialed
// says that Wake has just dialed.
func (r *Replica) awaited(dialed bool) (dial uint64, known bool) {
	s := r.set
	s.mu.Lock()
	defer s.mu.Unlock()
	dial = r.dials.Load()
	failed := uint64(0)
	if f := r.failure.Load(); f != nil {
		failed = f.dial
	}
	switch {
	case r.Ready() || r.Gone():
		return dial, true
	case !r.underway && !dialed && r.dialing.Due(s.rules(), s.down, true) <= s.now():
		return 0, false
	}
	return core.Awaited(dial, failed, r.underway), true
}

// dial dials a replica that has no connection, if that is due and the budget allows it; otherwise
// it schedules the dial. control must be held.
func (r *Replica) dial() {
	old := r.child
	state, ok := r.beginDial()
	switch {
	case !ok:
	case state == connectivity.Idle:
		old.ExitIdle()
	case state == connectivity.TransientFailure && r.canKnock():
		r.drop(old)
		r.policy.knock(r)
	default:
		r.drop(old)
		r.build()
	}
}

// beginDial decides whether to dial now and, if so, records the dial. It returns the state before.
func (r *Replica) beginDial() (state connectivity.State, ok bool) {
	s := r.set
	s.mu.Lock()
	defer s.mu.Unlock()
	state = r.state()
	if !r.dialable() {
		return state, false
	}
	ok, again := r.dialing.Try(s.now(), s.rules(), s.dials, r.addresses, s.down, s.inDemand(), r.dice())
	if ok {
		r.begun()
	} else {
		r.dialAt(again)
	}
	return state, ok
}

// dice returns the random bits of the next dial.
func (r *Replica) dice() uint64 { return core.DialDice(r.set.Seed, r.key, r.dials.Load()+1) }

// begun records that a dial has begun. The Set's mu must be held.
func (r *Replica) begun() {
	stop(&r.redial)
	r.underway, r.reached = true, false
	dial := r.dials.Add(1)
	if t := r.set.redial.Timeout; t > 0 {
		r.overdue = time.AfterFunc(t, func() { r.giveUp(dial) })
	}
}

// dialable reports whether the replica has neither a connection nor a dial under way. The Set's mu
// must be held.
func (r *Replica) dialable() bool { return !r.underway && !r.Ready() && !r.Gone() }

// scheduleDial schedules the next dial of a replica without a connection. The Set's mu must be
// held.
func (r *Replica) scheduleDial() {
	if s := r.set; r.dialable() {
		r.dialAt(r.dialing.Due(s.rules(), s.down, s.inDemand()))
	}
}

// dialAt schedules a dial for the given time, unless an earlier one is scheduled. The Set's mu must
// be held.
func (r *Replica) dialAt(at time.Duration) {
	if r.redial != nil && r.redialAt <= at {
		return
	}
	stop(&r.redial)
	var t *time.Timer
	t = time.AfterFunc(max(0, at-r.set.now()), func() {
		r.set.mu.Lock()
		current := r.redial == t
		if current {
			r.redial = nil
		}
		r.set.mu.Unlock()
		if current {
			r.policy.control.Lock()
			defer r.policy.control.Unlock()
			r.dial()
		}
	})
	r.redial, r.redialAt = t, at
}

// giveUp ends a dial that takes too long.
func (r *Replica) giveUp(dial uint64) {
	r.policy.control.Lock()
	defer r.policy.control.Unlock()
	if r.fail(dial, fmt.Errorf("no connection within %v", r.set.redial.Timeout), false) {
		r.drop(r.child)
	}
}

// fail ends the dial of that number as failed, unless it has ended. lasting says that a repetition
// would fail too.
func (r *Replica) fail(dial uint64, err error, lasting bool) bool {
	s := r.set
	s.mu.Lock()
	if !r.underway || r.dials.Load() != dial {
		s.mu.Unlock()
		return false
	}
	r.failed(err, lasting)
	r.policy.changed(r, balancer.State{ConnectivityState: connectivity.TransientFailure})
	s.mu.Unlock()
	s.notify(r)
	return true
}

// failed records that the dial under way has failed. The Set's mu must be held.
func (r *Replica) failed(err error, lasting bool) {
	r.endDial()
	r.current = nil // later reports of the child do not belong to a dial
	r.dialing.Failed(r.set.now(), lasting)
	r.failure.Store(&failure{r.dials.Load(), newDownError(err)})
}

// connected records that there is a connection. The Set's mu must be held.
func (r *Replica) connected() {
	if r.underway && r.dials.Load() == 1 {
		r.set.dials.Give(r.addresses)
		r.set.dialAnother()
	}
	r.endDial()
	r.dialing.Connected()
	r.failure.Store(nil)
}

// dialAnother dials a replica that has never been dialed because the budget was spent. mu must be
// held.
func (s *Set) dialAnother() {
	v := s.View()
	if v == nil {
		return
	}
	for _, r := range v.Replicas {
		if now := s.now(); r.dials.Load() == 0 && r.redial != nil && r.redialAt > now {
			r.dialAt(now)
			return
		}
	}
}

// endDial records that no dial is under way. The Set's mu must be held.
func (r *Replica) endDial() {
	r.underway = false
	stop(&r.overdue)
	if r.unknock != nil {
		r.unknock()
		r.unknock = nil
	}
}

// canKnock reports whether knock can dial all addresses of the replica as gRPC would, which is by
// TCP or with the user's dialer. control must be held.
//
// gRPC marks the addresses of its own resolvers for Unix sockets with an attribute that only gRPC
// can read, so the target's scheme decides here. Any other address is a Unix socket if it begins
// with unix:, or if it is a path, as from a resolver that uses one of gRPC's.
func (r *Replica) canKnock() bool {
	if s := r.policy.opts.Target.URL.Scheme; s == "unix" || s == "unix-abstract" {
		return false
	}
	for _, a := range r.endpoint.Addresses {
		host, _, err := net.SplitHostPort(a.Addr)
		if err != nil || host == "unix" || strings.ContainsAny(a.Addr, "/@\x00") {
			return false
		}
	}
	return true
}

// knock checks whether a replica that was down accepts connections, and only then lets gRPC dial
// it. Most dials of such a replica fail, and after each failed dial gRPC would ask the resolver.
// control must be held.
func (p *policy) knock(r *Replica) {
	p.set.mu.Lock()
	dial := r.dials.Load()
	p.changed(r, balancer.State{ConnectivityState: connectivity.Connecting})
	var addrs []string
	for _, a := range r.endpoint.Addresses {
		addrs = append(addrs, a.Addr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.unknock = cancel
	p.set.mu.Unlock()
	go func() {
		defer cancel()
		err := p.reach(ctx, addrs)
		if err != nil {
			if r.fail(dial, err, lasting(err, false)) {
				p.resolve()
			}
			return
		}
		p.control.Lock()
		defer p.control.Unlock()
		p.set.mu.Lock()
		current := r.underway && r.dials.Load() == dial
		r.reached = current
		p.set.mu.Unlock()
		if current {
			r.build()
		}
	}()
}

// reach returns nil as soon as one of the addresses accepts a connection.
func (p *policy) reach(ctx context.Context, addrs []string) error {
	dial := p.opts.Dialer
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	ends := make(chan error, len(addrs))
	for _, addr := range addrs {
		go func() {
			conn, err := dial(ctx, addr)
			if err == nil {
				conn.Close()
			}
			ends <- err
		}()
	}
	var err error
	for range addrs {
		if err = <-ends; err == nil {
			return nil
		}
	}
	return err
}

// lasting reports whether dials will fail with err until the cause, such as a certificate, is
// fixed. Errors that can come from a process that is starting or exiting are not lasting. reached
// says that something had accepted a connection; then every error except a broken connection is
// lasting. The text of the error is never inspected.
func lasting(err error, reached bool) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // a TLS alert
	}
	switch {
	case is[*tls.CertificateVerificationError](err), is[tls.RecordHeaderError](err), is[*net.DNSError](err),
		is[x509.CertificateInvalidError](err), is[x509.HostnameError](err), is[x509.UnknownAuthorityError](err):
		return true
	case !reached, is[syscall.Errno](err), is[net.Error](err):
		return false
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, broken) {
			return false
		}
	}
	return true
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// rules returns the bounds in the form of the core.
func (s *Set) rules() core.Redial {
	return core.Redial{Every: s.redial.Every, PerSecond: s.redial.PerSecond, Linger: s.redial.Linger, Timeout: s.redial.Timeout}
}
