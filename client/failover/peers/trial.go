package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"google.golang.org/grpc/connectivity"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/workload"
)

// comparison is what is run: each client makes the same calls in each scenario.
type comparison struct {
	programs programs
	clients  []client
	trials   int     // of each client in each scenario
	calls    int     // of a trial
	callers  int     // of a closed loop
	rate     float64 // of an open loop, calls a second
	parallel int     // trials at a time
	seed     uint64
	// onTrial is called after each trial, one call at a time.
	onTrial func(done, all int)
}

// scenario is a kind of cluster and of load.
type scenario struct {
	title  string
	pCrash float64 // with which a request crashes its replica
	open   bool    // the load is an open loop
}

var scenarios = []scenario{
	{"A crashing cluster, closed loop", 0.3, false},
	{"A crashing cluster, open loop", 0.3, true},
	{"A healthy cluster", 0, false},
}

// trial is the load of one client on one fresh cluster. Trials of one seed meet the same crashes.
type trial struct {
	client   client
	scenario scenario
	seed     uint64
}

// result is what a trial has shown.
type result struct {
	trial
	workload.Summary
	arrived uint64 // requests at the replicas, by their own count
}

// run runs all trials, those of one seed in random order.
func (c *comparison) run(ctx context.Context) ([]result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := c.schedule()
	next := make(chan trial)
	go func() {
		defer close(next)
		for _, t := range all {
			select {
			case next <- t:
			case <-ctx.Done():
				return
			}
		}
	}()
	var (
		workers sync.WaitGroup
		mu      sync.Mutex // of results and failure
		results []result
		failure error
	)
	for range c.parallel {
		workers.Go(func() {
			for t := range next {
				r, err := c.trial(ctx, t)
				mu.Lock()
				if err == nil {
					results = append(results, r)
					c.onTrial(len(results), len(all))
				} else if failure == nil {
					failure = fmt.Errorf("%s, %s, seed %d: %w", t.scenario.title, t.client.name, t.seed, err)
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if failure == nil {
		failure = ctx.Err()
	}
	return results, failure
}

// schedule returns the trials in the order in which they begin.
func (c *comparison) schedule() []trial {
	order := rand.New(rand.NewPCG(c.seed, 0))
	var all []trial
	for i := range c.trials {
		first := len(all)
		for _, scenario := range scenarios {
			for _, client := range c.clients {
				all = append(all, trial{client, scenario, c.seed + uint64(i)})
			}
		}
		order.Shuffle(len(all)-first, func(i, j int) { all[first+i], all[first+j] = all[first+j], all[first+i] })
	}
	return all
}

// trial runs one trial.
func (c *comparison) trial(ctx context.Context, t trial) (result, error) {
	cluster, err := c.programs.start(ctx, t.scenario.pCrash, t.seed)
	if err != nil {
		return result{}, err
	}
	calls, pace, err := c.load(ctx, t, cluster.addrs)
	counts, ended := cluster.stop()
	if err := errors.Join(err, ended, ctx.Err()); err != nil {
		return result{}, err
	}
	if err := checkCounts(calls, counts); err != nil {
		return result{}, err
	}
	r := result{trial: t, Summary: workload.Summarize(calls, pace)}
	for _, n := range counts {
		r.arrived += n.Arrived
	}
	return r, nil
}

// load makes the calls of a trial, once there is a connection.
func (c *comparison) load(ctx context.Context, t trial, addrs []string) ([]workload.Record, workload.Pace, error) {
	conn, err := t.client.connect(addrs)
	if err != nil {
		return nil, workload.Pace{}, err
	}
	defer conn.Close()
	if err := awaitReady(ctx, conn); err != nil {
		return nil, workload.Pace{}, err
	}
	var calls workload.Records
	plan := workload.Plan{Calls: c.calls, Workers: c.callers}
	if t.scenario.open {
		plan = workload.Plan{Calls: c.calls, Rate: c.rate, Arrivals: workload.ArrivalsPoisson, Seed: t.seed}
	}
	pace := plan.Run(ctx, trials.Caller(conn, t.client.settings.deadline), calls.Add)
	return calls.All(), pace, nil
}

// awaitReady returns when a replica is connected.
func awaitReady(ctx context.Context, conn *connection) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("no connection to a replica: %w", ctx.Err())
		}
	}
	return nil
}

// checkCounts returns an error unless each incarnation of a replica has counted at least as many
// requests as it answered.
func checkCounts(calls []workload.Record, counts []record.Count) error {
	type life struct {
		replica     string
		incarnation int
	}
	answered := map[life]uint64{}
	for _, call := range calls {
		if call.Err == nil {
			answered[life{call.Replica, call.Incarnation}]++
		}
	}
	for _, n := range counts {
		of := life{n.Replica, n.Incarnation}
		if answered[of] > n.Arrived {
			return fmt.Errorf("replica %s, incarnation %d: %d requests arrived, and %d were answered", n.Replica, n.Incarnation, n.Arrived, answered[of])
		}
		delete(answered, of)
	}
	for of, n := range answered {
		return fmt.Errorf("replica %s, incarnation %d, answered %d requests and reported no counts", of.replica, of.incarnation, n)
	}
	return nil
}
