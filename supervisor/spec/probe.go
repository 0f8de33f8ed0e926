package spec

import (
	"errors"
	"fmt"
	"time"
)

// ProbeKind is a way to check whether a replica is ready or alive.
type ProbeKind int

const (
	ProbeNone ProbeKind = iota // no check
	ProbeTCP                   // its address accepts a connection
	ProbeGRPC                  // Config.Health returns nil for its address
	// A GET of Path at its address is answered with a status of 200 to 299. It is sent over HTTPS
	// if Config.DialTLS is set.
	ProbeHTTP
	ProbeNotify // it sends READY=1 to NOTIFY_SOCKET, see sd_notify(3); not for Alive
)

var probeKinds = [...]string{ProbeNone: "none", ProbeTCP: "tcp", ProbeGRPC: "grpc", ProbeHTTP: "http", ProbeNotify: "notify"}

func (k ProbeKind) String() string {
	if k < 0 || int(k) >= len(probeKinds) {
		return fmt.Sprintf("ProbeKind(%d)", int(k))
	}
	return probeKinds[k]
}

// Probe is a check of a replica, repeated periodically. The zero value checks nothing.
//
// A replica that hangs is killed within Threshold × Period + Timeout. ProbeTCP does not detect a
// hang, because the kernel accepts connections on behalf of the process. Checks that fail for a
// reason on the supervisor's side, such as a lack of file descriptors or a suspended machine, are
// not counted.
type Probe struct {
	Kind    ProbeKind
	Service string // ProbeGRPC: the service to ask about; empty: the server as a whole
	Path    string // ProbeHTTP: the path of the URL, beginning with a slash; empty: /

	// Period is the time from one check to the next, at least MinPeriod. For Ready it is an upper
	// bound: the first checks follow each other faster. Zero means DefaultAlivePeriod for Alive and
	// 100 ms for Ready.
	Period time.Duration
	// Timeout is how long an answer may take, for Alive at most Period. Zero means 1 s, or for
	// Alive Period if that is less.
	Timeout time.Duration
	// Threshold is how many checks in a row must fail before Alive fails. Zero means 3. Ready does
	// not use it.
	Threshold int
	// Terminate makes a failed Alive stop the replica as Stop does. Otherwise the replica is killed
	// at once, because a process that hangs cannot be expected to drain.
	Terminate bool
}

const (
	MinPeriod          = 10 * time.Millisecond // shortest Period of a [Probe]
	DefaultAlivePeriod = time.Second           // Period of an Alive that has none
)

// ErrNotServing must be wrapped by the error that Config.Health returns for a service that answers
// that it is not serving. Such a replica is alive, but not ready.
var ErrNotServing = errors.New("not serving")
