package lab

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
)

// Dials crashes a replica the given number of times and returns how long its client's dials took:
// those that connected it again, and those that were refused. Package simulate calibrates its model
// with them. To reconnect, the client dials more than once; Dials counts the time divided by the
// number of dials.
func (l *Lab) Dials(ctx context.Context, crashes int) (connected, refused []time.Duration, err error) {
	s := design.Defaults()
	s.Replicas, s.PCrash, s.RestartDelay = 1, 1, 50*time.Millisecond
	s.WhenDown, s.Rounds, s.Timeout, s.Pause = failover.WhenDownWait, crashes+1, 0, 0
	c, err := startCluster(ctx, l.Counterd, l.Guardian, s, 1)
	if err != nil {
		return nil, nil, err
	}
	defer c.end()
	var d dials
	policy := s.Policy()
	policy.OnReplica = d.changed
	conn, err := failover.NewClient("static:///"+strings.Join(c.addrs, ","), policy,
		append(insecureOptions, grpc.WithContextDialer(d.dial))...)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	// Each attempt of one call crashes the replica and waits for the next incarnation.
	if _, err := trials.Caller(conn, startTimeout)(ctx, 0); ctx.Err() != nil {
		return nil, nil, ctx.Err()
	} else if err == nil {
		return nil, nil, errors.New("a replica with p_crash 1 answered a call")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connected, d.refused, nil
}

// dials measures the dials of a client with one replica.
type dials struct {
	mu                 sync.Mutex
	connectedBefore    bool
	accepted           int       // dials accepted since the replica was last ready
	since              time.Time // when the first of those began
	connected, refused []time.Duration
}

func (d *dials) dial(ctx context.Context, addr string) (net.Conn, error) {
	began := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.refused = append(d.refused, time.Since(began))
		return nil, err
	}
	if d.accepted++; d.accepted == 1 {
		d.since = began
	}
	return conn, nil
}

func (d *dials) changed(e failover.ReplicaEvent) {
	if e.State != failover.ReplicaReady {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connectedBefore && d.accepted > 0 { // one if the replica was back before the client noticed
		d.connected = append(d.connected, time.Since(d.since)/time.Duration(d.accepted))
	}
	d.connectedBefore, d.accepted = true, 0
}
