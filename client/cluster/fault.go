package cluster

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"

	faultv1 "example.com/crashlab/gen/fault/v1"
)

// faultTimeout bounds a call to the Fault service.
const faultTimeout = 30 * time.Second

// Faults returns the faults of the current process of a replica. It waits at most 30 seconds.
func (c *Cluster) Faults(ctx context.Context, r Replica) (faults *faultv1.Faults, err error) {
	err = c.fault(ctx, r, func(ctx context.Context, f faultv1.FaultClient) error {
		reply, err := f.Get(ctx, new(faultv1.GetRequest))
		faults = reply.GetFaults()
		return err
	})
	return faults, err
}

// SetFaults sets faults of the current process of a replica, and returns all its faults. A
// relaunched process does not have them. SetFaults waits at most 30 seconds.
func (c *Cluster) SetFaults(ctx context.Context, r Replica, req *faultv1.SetRequest) (faults *faultv1.Faults, err error) {
	err = c.fault(ctx, r, func(ctx context.Context, f faultv1.FaultClient) error {
		reply, err := f.Set(ctx, req)
		faults = reply.GetFaults()
		return err
	})
	return faults, err
}

func (c *Cluster) fault(ctx context.Context, r Replica, call func(context.Context, faultv1.FaultClient) error) error {
	return CallFaults(ctx, r.FaultAddr, faultTimeout, call, append(r.Supervisor.Authority(), grpc.WithTransportCredentials(c.credentials))...)
}

// CallFaults makes a call to the Fault service at addr. It opens a new connection, because an older
// one may lead to an earlier process.
func CallFaults(ctx context.Context, addr string, timeout time.Duration, call func(context.Context, faultv1.FaultClient) error, options ...grpc.DialOption) error {
	conn, err := grpc.NewClient("passthrough:///"+addr, append(options, grpc.WithDisableServiceConfig(), grpc.WithNoProxy())...)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return call(ctx, faultv1.NewFaultClient(conn))
}

// DialAfter returns a dialer for gRPC whose connections lead only to processes for which set has
// succeeded. set may, for example, set the faults of the process.
//
// set is called when a connection has been made, and must make another one to the same address. If
// that reaches a later process, the first connection has ended with its own process. So nothing is
// ever sent to a process for which set has not succeeded.
func DialAfter(set func(ctx context.Context, addr string) error) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		if err := set(ctx, addr); err != nil {
			conn.Close()
			// A dial error, so that gRPC dials again.
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: conn.RemoteAddr(), Err: fmt.Errorf("its faults cannot be set: %w", err)}
		}
		return conn, nil
	}
}
