package session

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live"
	faultv1 "example.com/crashlab/gen/fault/v1"
)

// keptFaults has the faults that are set again after a relaunch.
type keptFaults struct {
	mu   sync.Mutex
	kept map[string]map[string]string // values by fault, by replica
}

// keep adds faults to those of a replica and returns all of them. Without values, it forgets the
// replica's faults.
func (k *keptFaults) keep(replica string, values map[string]string) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[string]map[string]string{}
	}
	all := maps.Clone(k.kept[replica])
	if len(values) == 0 {
		all = nil
	} else if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, values)
	k.kept[replica] = all
	return all
}

func (k *keptFaults) of(replica string) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept[replica]
}

// setFaults sets faults of the replicas, now and after each relaunch. Replicas without a process
// get them after their next launch.
func (s *Session) setFaults(ctx context.Context, replicas []cluster.Replica, values map[string]string) error {
	request, err := live.FaultRequest(values)
	if err != nil {
		return live.Refuse(http.StatusBadRequest, "%w", err)
	}
	errs := make([]error, len(replicas))
	var all sync.WaitGroup
	for i, r := range replicas {
		all.Go(func() { errs[i] = s.fault(ctx, r, request, s.faults.keep(r.Name, values)) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// faultTimeout bounds a call to a replica's Fault service.
const faultTimeout = 5 * time.Second

// fault sets faults of one replica and reports all that it then has.
func (s *Session) fault(ctx context.Context, r cluster.Replica, request *faultv1.SetRequest, kept map[string]string) error {
	s.apply(live.FaultsChanged{Replica: r.Name, Faults: s.known(r.Name), Kept: kept})
	reply, err := s.callSet(ctx, r, request)
	switch status.Code(err) {
	case codes.OK:
	case codes.Unavailable:
		return nil // no process is ready: restoreFaults sets them when one is
	case codes.InvalidArgument:
		return live.Refuse(http.StatusBadRequest, "%s", status.Convert(err).Message())
	case codes.Unimplemented:
		return live.Refuse(http.StatusBadGateway, "replica %s at %s serves no fault.v1.Fault: want counterd, with its faults not turned off", r.Name, r.FaultAddr)
	default:
		return live.Refuse(http.StatusBadGateway, "replica %s at %s: %s", r.Name, r.FaultAddr, status.Convert(err).Message())
	}
	s.apply(live.FaultsChanged{Replica: r.Name, Faults: live.FaultValues(reply.GetFaults()), Kept: kept})
	return nil
}

// callSet calls Set of a replica's Fault service.
func (s *Session) callSet(ctx context.Context, r cluster.Replica, request *faultv1.SetRequest) (reply *faultv1.SetResponse, err error) {
	err = cluster.CallFaults(ctx, r.FaultAddr, faultTimeout, func(ctx context.Context, c faultv1.FaultClient) error {
		reply, err = c.Set(ctx, request)
		return err
	}, append(s.dialOptions(), r.Supervisor.Authority()...)...)
	return reply, err
}

// giveFaults sets the kept faults of the replica at an address. It returns an error only if the
// replica cannot be reached or ctx has ended.
func (s *Session) giveFaults(ctx context.Context, addr string) error {
	r, ok := s.at(addr)
	kept := s.faults.of(r.Name)
	if !ok || len(kept) == 0 {
		return nil
	}
	request, err := live.FaultRequest(kept)
	if err == nil {
		_, err = s.callSet(ctx, r, request)
	}
	if status.Code(err) == codes.Unavailable || ctx.Err() != nil {
		return err
	}
	return nil
}

// known returns the faults that a replica is known to have.
func (s *Session) known(replica string) map[string]string {
	for _, r := range s.State().Replicas {
		if r.Name == replica {
			return r.Faults
		}
	}
	return nil
}

// restoreFaults sets the kept faults of a replica that is ready again, and reports all that it has.
func (s *Session) restoreFaults(name string) {
	s.work.Go(func() {
		replicas, err := s.replicas([]string{name})
		if err != nil {
			return // the next list calls restoreFaults again
		}
		kept := s.faults.of(name)
		request, err := live.FaultRequest(kept)
		if err != nil {
			return // cannot happen: they were valid when they were kept
		}
		if err := s.fault(s.calling, replicas[0], request, kept); err != nil && len(kept) > 0 {
			s.apply(live.Marked{Kind: live.MarkCommand, Text: "faults of " + name, Replicas: []string{name}, Error: err.Error()})
		}
	})
}
