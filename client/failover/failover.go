package failover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"example.com/crashlab/client/failover/internal/replicas"
	"example.com/crashlab/client/failover/internal/static"
	"google.golang.org/grpc"
)

// NewClient returns a connection whose calls fail over according to the policy. It does no I/O.
//
// The target may use any resolver, such as dns:///counter.example:7101. The additional scheme
// static:///HOST:PORT,HOST:PORT lists the replicas itself. Interceptors among the options see a
// call once, however many attempts it makes. A default service config belongs in
// Policy.ServiceConfig, not among the options. An error names the invalid target, policy field or
// option.
func NewClient(target string, p Policy, opts ...grpc.DialOption) (*Client, error) {
	if err := checkTarget(target); err != nil {
		return nil, fmt.Errorf("failover: target %q: %w", target, err)
	}
	c, err := newClient(p)
	if err != nil {
		return nil, err
	}
	all := append([]grpc.DialOption{c.serviceConfig}, opts...)
	all = append(all, c.dialOptions()...)
	conn, err := grpc.NewClient(target, append(all, replicas.ThrottledResolvers(target))...)
	if err != nil {
		return nil, err
	}
	if !c.replicas.Claimed() {
		conn.Close()
		return nil, errors.New("failover: a default service config among the options replaces the failover policy: " +
			"give it in Policy.ServiceConfig")
	}
	return &Client{conn, c}, nil
}

// Client is a connection whose calls fail over. Generated stubs accept it like a *grpc.ClientConn.
type Client struct {
	*grpc.ClientConn
	client *client
}

// Statistics returns what the connection has done so far. It may be called at any time, even after
// Close.
func (c *Client) Statistics() Statistics { return c.client.statistics() }

// DialOptions returns the options that NewClient adds, for programs that must call grpc.NewClient
// themselves. They serve one connection: call DialOptions for each. They belong after all other
// options, and replace a default service config among those. An error names the invalid policy
// field.
func DialOptions(p Policy) ([]grpc.DialOption, error) {
	c, err := newClient(p)
	if err != nil {
		return nil, err
	}
	return append(c.dialOptions(), c.serviceConfig, replicas.ThrottledResolvers("dns:///")), nil
}

func (c *client) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithResolvers(static.Builder{}),
		// A service config from the resolver could replace the failover policy.
		grpc.WithDisableServiceConfig(),
		// A method's retryPolicy would multiply the attempts.
		grpc.WithDisableRetry(),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.streaming),
	}
}

// serviceConfig returns the user's service config with our load-balancing policy in it.
func serviceConfig(user string, lb json.RawMessage) (string, error) {
	var fields map[string]json.RawMessage
	if user != "" {
		if err := json.Unmarshal([]byte(user), &fields); err != nil {
			return "", fmt.Errorf("failover: Policy.ServiceConfig: %w", err)
		}
	}
	if fields == nil { // no config, or null
		fields = map[string]json.RawMessage{}
	}
	for name := range fields {
		// gRPC ignores the case of keys.
		if strings.EqualFold(name, "loadBalancingConfig") || strings.EqualFold(name, "loadBalancingPolicy") {
			return "", fmt.Errorf("failover: Policy.ServiceConfig has a %s: the failover policy is the only one", name)
		}
	}
	fields["loadBalancingConfig"] = lb
	js, err := json.Marshal(fields)
	return string(js), err
}

// checkTarget finds mistakes in a target that grpc.NewClient would report only at the first call.
func checkTarget(target string) error {
	if target == "" {
		return errors.New("want a gRPC target such as static:///HOST:PORT,HOST:PORT or dns:///HOST:PORT")
	}
	if strings.Contains(target, ",") && !strings.Contains(target, "://") {
		return fmt.Errorf("want %s:///%s for a list of replicas", static.Scheme, target)
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != static.Scheme {
		return nil // for gRPC to judge
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
