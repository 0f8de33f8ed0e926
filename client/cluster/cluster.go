// Package cluster is a client of a running cluster: replicas, on one machine or many, whose
// supervisors are reached through their control services. It lists replicas, follows their events,
// sets their faults and relates the clocks of several machines.
//
// Use it to observe or disturb a cluster that something else has started. To start processes, use
// package supervisor; to call the service itself, use package failover.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/parse"
)

// Target says where a cluster is and which of its replicas are meant.
type Target struct {
	// Control lists the addresses of the supervisors' control services: HOST:PORT, unix:///PATH, or
	// dns:///NAME:PORT for a supervisor at each address of the name. At least one is required.
	Control []string
	// Group is the group of replicas. It may be empty if the supervisors have only one.
	Group string
	// Replicas maps names of replicas to addresses, for replicas that cannot be reached at the
	// address that their supervisor reports, such as those behind a port-forward.
	Replicas map[string]string
	// FaultPort is the port at which the replicas serve fault.v1.Fault. Zero means the port of the
	// Counter.
	FaultPort int
}

// Cluster is a connection to the supervisors of a cluster. Make it with [Connect].
type Cluster struct {
	// Supervisors are in the order of Target.Control; those of one DNS name are sorted by address.
	Supervisors []*Supervisor
	// Replicas lists the replicas of the group: in the supervisor's order if there is one
	// supervisor, otherwise sorted by name. Refresh updates it.
	Replicas []Replica

	target      Target
	credentials credentials.TransportCredentials
}

// Replica is a replica of the cluster, as of the last Refresh.
type Replica struct {
	Name       string
	Addr       string // HOST:PORT at which this program reaches it
	FaultAddr  string // HOST:PORT of its Fault service
	Supervisor *Supervisor
	Status     *supervisorv1.Status
}

// connectTimeout bounds Connect, which takes a few round trips.
const connectTimeout = 30 * time.Second

// Connect connects to the supervisors and lists their replicas, within 30 seconds. Nil credentials
// mean connections without TLS. An error is one line that names the supervisor or replica at fault.
// The caller must close the Cluster.
func Connect(ctx context.Context, t Target, c credentials.TransportCredentials) (*Cluster, error) {
	if c == nil {
		c = insecure.NewCredentials()
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	endpoints, err := t.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{target: t, credentials: c}
	for _, e := range endpoints {
		s, err := newSupervisor(e, c)
		if err != nil {
			cluster.Close()
			return nil, err
		}
		cluster.Supervisors = append(cluster.Supervisors, s)
	}
	if err := cluster.Refresh(ctx); err != nil {
		cluster.Close()
		return nil, err
	}
	return cluster, nil
}

// Close closes the connections to the supervisors.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Supervisors {
		errs = append(errs, s.conn.Close())
	}
	return errors.Join(errs...)
}

// Each calls do concurrently for all supervisors. It returns the first error in the order of
// Supervisors.
func (c *Cluster) Each(do func(s *Supervisor) error) error { return each(c.Supervisors, do) }

func each(supervisors []*Supervisor, do func(s *Supervisor) error) error {
	errs := make([]error, len(supervisors))
	var all sync.WaitGroup
	for i, s := range supervisors {
		all.Go(func() { errs[i] = do(s) })
	}
	all.Wait()
	return cmp.Or(errs...)
}

// BySupervisor calls do concurrently for each supervisor of the given replicas, with the names of
// those that it runs. It returns the first error in the order of the replicas.
func BySupervisor(replicas []Replica, do func(s *Supervisor, names []string) error) error {
	var supervisors []*Supervisor
	names := map[*Supervisor][]string{}
	for _, r := range replicas {
		if names[r.Supervisor] == nil {
			supervisors = append(supervisors, r.Supervisor)
		}
		names[r.Supervisor] = append(names[r.Supervisor], r.Name)
	}
	return each(supervisors, func(s *Supervisor) error { return do(s, names[s]) })
}

// Refresh updates Replicas. It must not be called concurrently.
func (c *Cluster) Refresh(ctx context.Context) error {
	err := c.Each(func(s *Supervisor) error {
		reply, err := s.List(ctx, new(supervisorv1.ListRequest))
		s.listed = reply.GetReplicas()
		return s.Failure(err)
	})
	if err != nil {
		return err
	}
	group, err := c.group()
	if err != nil {
		return err
	}
	c.Replicas = nil
	for _, s := range c.Supervisors {
		for _, status := range s.listed {
			if status.GetGroup() != group {
				continue
			}
			r, err := c.replica(s, status)
			if err != nil {
				return err
			}
			c.Replicas = append(c.Replicas, r)
		}
	}
	return c.order()
}

// group returns the name of the group to use.
func (c *Cluster) group() (string, error) {
	var names []string
	for _, s := range c.Supervisors {
		for _, status := range s.listed {
			if !slices.Contains(names, status.GetGroup()) {
				names = append(names, status.GetGroup())
			}
		}
	}
	switch {
	case len(names) == 0:
		return "", errors.New("the cluster has no replica")
	case c.target.Group == "" && len(names) > 1:
		return "", fmt.Errorf("the cluster has several groups: want group to be one of %s", strings.Join(names, ", "))
	case c.target.Group == "" || slices.Contains(names, c.target.Group):
		return cmp.Or(c.target.Group, names[0]), nil
	}
	return "", fmt.Errorf("group %q: want one that the cluster has: %q", c.target.Group, names)
}

// replica returns a replica with the address at which this program reaches it.
func (c *Cluster) replica(s *Supervisor, status *supervisorv1.Status) (Replica, error) {
	r := Replica{Name: status.GetReplica(), Addr: c.target.Replicas[status.GetReplica()], Supervisor: s, Status: status}
	if r.Addr == "" {
		host, port, err := net.SplitHostPort(status.GetAddr())
		if err != nil {
			return r, fmt.Errorf("replica %s of the supervisor at %s has the address %q: want its HOST:PORT in replicas", r.Name, s.Addr, status.GetAddr())
		}
		r.Addr = net.JoinHostPort(s.reach(host), port)
	}
	r.FaultAddr = r.Addr
	if c.target.FaultPort != 0 {
		host, _, _ := net.SplitHostPort(r.Addr)
		r.FaultAddr = net.JoinHostPort(host, strconv.Itoa(c.target.FaultPort))
	}
	return r, nil
}

// order sorts the replicas, and returns an error if names or addresses are not unique.
func (c *Cluster) order() error {
	if len(c.Supervisors) > 1 {
		slices.SortStableFunc(c.Replicas, func(a, b Replica) int { // counter-10 comes after counter-9
			return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
		})
	}
	names, addrs := map[string]Replica{}, map[string]Replica{}
	for _, r := range c.Replicas {
		if other, ok := names[r.Name]; ok {
			return fmt.Errorf("replica %s is both at the supervisor %s and at %s: want names that are unique in the cluster", r.Name, other.Supervisor.Addr, r.Supervisor.Addr)
		}
		if other, ok := addrs[r.Addr]; ok {
			return fmt.Errorf("replicas %s and %s are both reached at %s: want the address of each in replicas", other.Name, r.Name, r.Addr)
		}
		names[r.Name], addrs[r.Addr] = r, r
	}
	return nil
}

// endpoint is the address of a supervisor.
type endpoint struct {
	addr string // HOST:PORT or unix:///PATH
	name string // the host name from which addr was looked up, or empty
}

// endpoints returns the addresses of the supervisors, after looking up DNS names.
func (t Target) endpoints(ctx context.Context) ([]endpoint, error) {
	if len(t.Control) == 0 {
		return nil, errors.New("no address of a supervisor: want at least one in control")
	}
	var all []endpoint
	for _, addr := range t.Control {
		if err := checkControl(addr); err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(addr, dnsScheme)
		if !ok {
			all = append(all, endpoint{addr: addr})
			continue
		}
		host, port, _ := net.SplitHostPort(name)
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("%q: %w: want a name that resolves", addr, err)
		}
		slices.Sort(ips)
		for _, ip := range ips {
			all = append(all, endpoint{net.JoinHostPort(ip, port), host})
		}
	}
	return all, nil
}

const (
	dnsScheme  = "dns:///"
	unixScheme = "unix://"
)

// checkControl returns an error if addr is not the address of a supervisor.
func checkControl(addr string) error {
	if path, ok := strings.CutPrefix(addr, unixScheme); ok && strings.HasPrefix(path, "/") {
		return nil
	}
	if _, err := parse.HostPort(strings.TrimPrefix(addr, dnsScheme), 1); err != nil {
		return fmt.Errorf("%q: want HOST:PORT, dns:///NAME:PORT or unix:///PATH", addr)
	}
	return nil
}
