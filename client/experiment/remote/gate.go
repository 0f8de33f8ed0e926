package remote

import (
	"context"
	"fmt"
	"net"

	"example.com/crashlab/client/cluster"
	faultv1 "example.com/crashlab/gen/fault/v1"
)

// gate dials the replicas of a trial.
type gate struct {
	engine   *Engine
	replicas map[string]cluster.Replica     // by address
	faults   map[string]*faultv1.SetRequest // by address
}

// dial returns a connection to a replica, to a process that has the faults of the trial.
//
// It sets them over a second connection, made after the first one: if that reaches a later process, the first one's is gone, and its
// connection with it. So no request ever meets the faults of the command line.
func (g *gate) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := g.engine.setFaults(ctx, g.replicas[addr], g.faults[addr]); err != nil {
		conn.Close()
		// As from a dial that failed: another one may fare better.
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: conn.RemoteAddr(), Err: fmt.Errorf("its faults cannot be set: %w", err)}
	}
	return conn, nil
}
