package spec

import (
	"errors"
	"fmt"
	"time"
)

// ProbeKind is a way to check whether a replica is ready or alive.
type ProbeKind int

const (
	ProbeNone   ProbeKind = iota // no check
	ProbeTCP                     // its address accepts a connection
	ProbeGRPC                    // Config.Health returns nil for its address
	ProbeHTTP                    // a GET of Path at its address, by HTTPS with Config.DialTLS, is answered by a status from 200 to 299
	ProbeNotify                  // it sends READY=1 to NOTIFY_SOCKET, see sd_notify(3); not for Alive
)

var probeKinds = [...]string{ProbeNone: "none", ProbeTCP: "tcp", ProbeGRPC: "grpc", ProbeHTTP: "http", ProbeNotify: "notify"}

func (k ProbeKind) String() string {
	if k < 0 || int(k) >= len(probeKinds) {
		return fmt.Sprintf("ProbeKind(%d)", int(k))
	}
	return probeKinds[k]
}

// Probe is a question to a replica. The zero value asks nothing.
//
// A replica that hangs is killed after Threshold × Period + Timeout at the latest.
// ProbeTCP does not detect a hang, as the kernel accepts connections for a process
// that does nothing. Failures on our side, such as a lack of file descriptors or a
// time in which our process was suspended, are not counted.
type Probe struct {
	Kind    ProbeKind
	Service string // with ProbeGRPC: the service to ask for; empty: the server as a whole
	Path    string // with ProbeHTTP: the path of the URL, which begins with a slash; empty: /

	// Period is the time from one question to the next, LeastPeriod or more. For
	// Ready it is the longest time: the first questions come sooner. Zero: 1 s
	// for Alive, 100 ms for Ready.
	Period time.Duration
	// Timeout is how long an answer may take; for Alive at most Period. Zero:
	// 1 s, or for Alive Period if that is less.
	Timeout time.Duration
	// Threshold is how many questions in a row must fail before Alive does. Zero:
	// 3. Ready does not use it.
	Threshold int
	// Terminate makes a failed Alive stop the replica as Stop does. False: it is
	// killed at once, as a process that hangs cannot be expected to drain.
	Terminate bool
}

// LeastPeriod is the least Period of a [Probe].
const LeastPeriod = 10 * time.Millisecond

// ErrNotServing is to be wrapped by the error that Config.Health returns for a
// service that answers that it does not serve: it is alive, but not ready.
var ErrNotServing = errors.New("not serving")
