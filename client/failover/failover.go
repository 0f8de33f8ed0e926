// Package failover carries gRPC calls through a set of replicas: an attempt that fails at one goes on to the next, in
// rounds, each attempt with its own deadline. What comes back is the first success, or an Error that tells every
// attempt: which replica, how it ended, how long it took, and whether the request can have reached it.
//
// It is one standard *grpc.ClientConn, made by NewClient, so stubs, credentials, stats handlers and interceptors work
// as ever. Unary calls fail over; streams go to any one ready replica.
//
// A replica that is down is dialed every 25 ms for as long as calls are made, so that it is back in use as soon as it
// listens again, however long it was gone. Connect, called on the connection, counts as a call in this.
package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"example.com/crashlab/client/failover/internal/replicas"
	"example.com/crashlab/client/failover/internal/static"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// NewClient returns a connection whose unary calls fail over as the policy says. It does no I/O.
//
// The target is one of any resolver, such as dns:///counter.example:7101; besides, static:///HOST:PORT,HOST:PORT lists
// the replicas itself. Interceptors among the options see a call once, whatever its attempts. A default service config
// goes into the policy, not into the options.
func NewClient(target string, p Policy, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	if err := checkStatic(target); err != nil {
		return nil, fmt.Errorf("failover: target %q: %w", target, err)
	}
	c, err := newClient(p)
	if err != nil {
		return nil, err
	}
	all := append([]grpc.DialOption{c.serviceConfig}, opts...)
	conn, err := grpc.NewClient(target, append(all, c.dialOptions()...)...)
	if err != nil {
		return nil, err
	}
	if !c.replicas.Claimed() {
		conn.Close()
		return nil, errors.New("failover: a default service config among the options replaces the failover policy: " +
			"give it in Policy.ServiceConfig")
	}
	return conn, nil
}

// DialOptions returns what NewClient adds to a connection, for those who call grpc.NewClient themselves. They serve one
// connection: call DialOptions for each. They belong behind all other options, and replace a default service config
// among those.
func DialOptions(p Policy) ([]grpc.DialOption, error) {
	c, err := newClient(p)
	if err != nil {
		return nil, err
	}
	return append(c.dialOptions(), c.serviceConfig), nil
}

func newClient(p Policy) (*client, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	c := &client{policy: p, replicas: replicas.NewSet()}
	if p.OnReplica != nil {
		c.replicas.OnChange = func(addr string, s connectivity.State) {
			p.OnReplica(ReplicaEvent{Replica: addr, State: replicaState(s)})
		}
	}
	js, err := serviceConfig(p.ServiceConfig, replicas.Config(c.replicas))
	if err != nil {
		return nil, err
	}
	c.serviceConfig = grpc.WithDefaultServiceConfig(js)
	return c, nil
}

func (c *client) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithResolvers(static.Builder{}),
		// Else a service config from the resolver could take the failover policy away.
		grpc.WithDisableServiceConfig(),
		// Else a method's own retryPolicy would multiply the attempts.
		grpc.WithDisableRetry(),
		grpc.WithChainUnaryInterceptor(c.unary),
	}
}

// serviceConfig returns the user's service config with our load-balancing policy in it.
func serviceConfig(user string, lb json.RawMessage) (string, error) {
	fields := map[string]json.RawMessage{}
	if user != "" {
		if err := json.Unmarshal([]byte(user), &fields); err != nil {
			return "", fmt.Errorf("failover: Policy.ServiceConfig: %w", err)
		}
	}
	for _, name := range []string{"loadBalancingConfig", "loadBalancingPolicy"} {
		if _, ok := fields[name]; ok {
			return "", fmt.Errorf("failover: Policy.ServiceConfig has a %s: the failover policy is the only one", name)
		}
	}
	fields["loadBalancingConfig"] = lb
	js, err := json.Marshal(fields)
	return string(js), err
}

// checkStatic finds the mistakes in a static target now, which grpc.NewClient would leave to the first call.
func checkStatic(target string) error {
	if target == "" {
		return errors.New("want a gRPC target such as static:///HOST:PORT,HOST:PORT or dns:///HOST:PORT")
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != static.Scheme {
		return nil // gRPC's to judge
	}
	if u.Host != "" {
		return fmt.Errorf("want three slashes: %s:///%s", static.Scheme, u.Host)
	}
	list := u.Path
	if list != "" {
		list = list[1:]
	}
	_, err = static.Parse(list)
	return err
}
