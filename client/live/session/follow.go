package session

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/event"
)

const (
	// listPeriod is how often the session lists the replicas, which also shows that the supervisors
	// answer.
	listPeriod = time.Second
	// listTimeout bounds a list.
	listTimeout = 5 * time.Second
	// reconnectPeriod is the time between two attempts to connect.
	reconnectPeriod = 500 * time.Millisecond
)

// attached is the connection to the cluster.
type attached struct {
	mu       sync.Mutex
	cluster  *cluster.Cluster // nil if not connected
	replicas []cluster.Replica
	err      error // why it is not connected

	relist chan chan struct{} // requests to list the replicas; the sent channel is closed afterwards
}

// about describes the connection.
func (s *Session) about() live.Cluster {
	c := live.Cluster{Target: s.config.Target, Own: s.config.Own}
	if s.config.Cluster != nil {
		c.Control = strings.Join(s.config.Cluster.Control, ",")
	}
	s.attached.mu.Lock()
	defer s.attached.mu.Unlock()
	c.Connected = s.attached.cluster != nil
	if s.attached.err != nil {
		c.Error = s.attached.err.Error()
	}
	if c.Target == "" {
		c.Target = staticTarget(s.attached.replicas)
	}
	return c
}

// follow connects to the cluster, again and again if the connection is lost, until ctx ends.
func (s *Session) follow(ctx context.Context) {
	if s.config.Cluster == nil {
		return
	}
	for ctx.Err() == nil {
		c, err := cluster.Connect(ctx, *s.config.Cluster, s.config.Credentials)
		if err == nil {
			err = s.watch(ctx, c)
			c.Close()
		}
		if ctx.Err() != nil {
			return
		}
		s.attach(nil, err)
		select {
		case <-time.After(reconnectPeriod):
		case <-ctx.Done():
		}
	}
}

// attach stores a connection, or the reason why it was lost.
func (s *Session) attach(c *cluster.Cluster, err error) {
	s.attached.mu.Lock()
	s.attached.cluster, s.attached.err = c, err
	if c != nil {
		s.attached.replicas = slices.Clone(c.Replicas)
	}
	s.attached.mu.Unlock()
	s.apply(live.ClusterChanged(s.about()))
}

// eventOrError is an event of a supervisor, or the error that ended the stream of its events.
type eventOrError struct {
	event event.Event
	err   error
}

// watch follows the cluster until its connection is lost, and returns the reason.
func (s *Session) watch(ctx context.Context, c *cluster.Cluster) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watches sync.WaitGroup
	defer watches.Wait()
	defer cancel()
	events := make(chan eventOrError)
	var started sync.WaitGroup // streams of events that have begun
	for _, of := range c.Supervisors {
		started.Add(1)
		once := sync.OnceFunc(started.Done)
		watches.Go(func() {
			defer once()
			clock := clockOf(ctx, c, of)
			for e, err := range of.Watch(ctx, nil, once) {
				e.Time = clock(e.Time)
				select {
				case events <- eventOrError{e, err}:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	started.Wait()
	if err := s.list(ctx, c, true); err != nil {
		return err
	}
	s.attach(c, nil)
	tick := time.NewTicker(listPeriod)
	defer tick.Stop()
	for {
		var err error
		select {
		case e := <-events:
			if err = e.err; err == nil {
				err = s.onEvent(ctx, c, e.event)
			}
		case <-tick.C:
			err = s.list(ctx, c, false)
		case done := <-s.attached.relist:
			err = s.list(ctx, c, false)
			close(done)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// clockOf returns a function that converts times of a supervisor to this machine's clock. It leaves
// them alone if the clocks do not differ measurably.
func clockOf(ctx context.Context, c *cluster.Cluster, of *cluster.Supervisor) func(time.Time) time.Time {
	same := func(t time.Time) time.Time { return t }
	i := slices.IndexFunc(c.Replicas, func(r cluster.Replica) bool { return r.Supervisor == of })
	if i < 0 {
		return same
	}
	clock, err := of.Clock(ctx, c.Replicas[i].Name)
	if err != nil || clock.Offset().Abs() <= clock.Error {
		return same
	}
	return clock.Local
}

// onEvent handles an event of a supervisor.
func (s *Session) onEvent(ctx context.Context, c *cluster.Cluster, e event.Event) error {
	known := slices.ContainsFunc(c.Replicas, func(r cluster.Replica) bool { return r.Name == e.Replica })
	if known {
		s.apply(live.ProcessEvent(e))
	}
	switch e.Kind {
	case event.KindReady:
		if known {
			s.restoreFaults(e.Replica)
		}
	case event.KindAdded, event.KindRemoved, event.KindChanged:
		return s.list(ctx, c, false)
	}
	return nil
}

// list lists the replicas and makes the loads follow changes. Anew is as in [live.ReplicasListed].
func (s *Session) list(ctx context.Context, c *cluster.Cluster, anew bool) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if err := c.Refresh(ctx); err != nil {
		return err
	}
	s.attached.mu.Lock()
	before := s.attached.replicas
	s.attached.replicas = slices.Clone(c.Replicas)
	s.attached.mu.Unlock()
	s.apply(listed(c, anew))
	if target := staticTarget(c.Replicas); s.config.Target == "" && target != staticTarget(before) {
		s.apply(live.ClusterChanged(s.about()))
		s.retarget(target)
	}
	for _, r := range c.Replicas {
		new := !slices.ContainsFunc(before, func(b cluster.Replica) bool { return b.Name == r.Name })
		if (anew || new) && r.Status.GetPid() != 0 {
			s.restoreFaults(r.Name)
		}
	}
	return nil
}

// staticTarget returns the gRPC target of the replicas' addresses, or an empty string if there are
// no replicas.
func staticTarget(replicas []cluster.Replica) string {
	if len(replicas) == 0 {
		return ""
	}
	addrs := make([]string, len(replicas))
	for i, r := range replicas {
		addrs[i] = r.Addr
	}
	return "static:///" + strings.Join(addrs, ",")
}

// states maps the supervisor's states in which there is a process.
var states = map[supervisorv1.State]live.ReplicaState{
	supervisorv1.State_STATE_STARTING: live.ReplicaStarting, supervisorv1.State_STATE_READY: live.ReplicaReady,
	supervisorv1.State_STATE_STOPPING: live.ReplicaUnready, supervisorv1.State_STATE_UNREADY: live.ReplicaUnready,
}

// listed returns the event for a list.
func listed(c *cluster.Cluster, anew bool) live.ReplicasListed {
	l := live.ReplicasListed{Anew: anew, Groups: []live.Group{}}
	for _, r := range c.Replicas {
		s := r.Status
		one := live.ReplicaStatus{
			Name: r.Name, Group: s.GetGroup(), Addr: r.Addr, State: cmp.Or(states[s.GetState()], live.ReplicaDown),
			Incarnation: int(s.GetIncarnation()), PID: int(s.GetPid()),
		}
		switch {
		case s.GetReady() != nil:
			one.Since = s.GetReady().AsTime()
		case s.GetLaunched() != nil:
			one.Since = s.GetLaunched().AsTime()
		case s.GetExited() != nil:
			one.Since = s.GetExited().AsTime()
		}
		if s.GetNext() != nil {
			one.Next = s.GetNext().AsTime()
		}
		switch s.GetState() {
		case supervisorv1.State_STATE_STOPPED:
			one.Note = "stopped: restart launches it"
		case supervisorv1.State_STATE_FINISHED, supervisorv1.State_STATE_FAILED:
			one.Note = "it stays down: restart launches it"
		}
		l.Replicas = append(l.Replicas, one)
		i := slices.IndexFunc(l.Groups, func(g live.Group) bool { return g.Name == s.GetGroup() })
		if i < 0 {
			l.Groups = append(l.Groups, live.Group{Name: s.GetGroup(), Relaunch: live.RelaunchValues(s.GetPolicy())})
			i = len(l.Groups) - 1
		}
		l.Groups[i].Count++
	}
	return l
}

// control returns the cluster and its replicas for a command, or an error if it is not connected.
func (s *Session) control() (*cluster.Cluster, []cluster.Replica, error) {
	if s.config.Cluster == nil {
		return nil, nil, live.Refuse(http.StatusConflict, "there is no control service: start crashlab live with --control ADDR")
	}
	s.attached.mu.Lock()
	defer s.attached.mu.Unlock()
	if s.attached.cluster == nil {
		err := s.attached.err
		if err == nil {
			err = fmt.Errorf("it is being connected")
		}
		return nil, nil, live.Refuse(http.StatusServiceUnavailable, "the control service is not connected: %w; it is tried again", err)
	}
	return s.attached.cluster, s.attached.replicas, nil
}

// at returns the replica at an address, or false if there is none.
func (s *Session) at(addr string) (cluster.Replica, bool) {
	s.attached.mu.Lock()
	defer s.attached.mu.Unlock()
	for _, r := range s.attached.replicas {
		if r.Addr == addr {
			return r, true
		}
	}
	return cluster.Replica{}, false
}

// replicas returns the replicas with the given names, or all if there are no names.
func (s *Session) replicas(names []string) ([]cluster.Replica, error) {
	_, all, err := s.control()
	if err != nil || len(names) == 0 {
		return all, err
	}
	var chosen []cluster.Replica
	for _, name := range names {
		i := slices.IndexFunc(all, func(r cluster.Replica) bool { return r.Name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, r := range all {
				known[i] = r.Name
			}
			return nil, live.Refuse(http.StatusNotFound, "replica %q: want one of %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
