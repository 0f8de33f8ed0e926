package otelfailover

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"weak"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/connectivity"
)

// instruments holds the metrics, which the package comment describes.
type instruments struct {
	duration metric.Float64Histogram
	perCall  metric.Int64Histogram
	attempts metric.Int64Counter

	waiting, inFlight, limit, ready, ejected metric.Int64ObservableUpDownCounter
}

func newInstruments(m metric.Meter) (*instruments, error) {
	var i instruments
	var errs [8]error
	i.duration, errs[0] = m.Float64Histogram("failover.call.duration", metric.WithUnit("s"),
		metric.WithDescription("How long calls take, including all attempts and waits."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))
	i.perCall, errs[1] = m.Int64Histogram("failover.call.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that calls take."),
		metric.WithExplicitBucketBoundaries(0, 1, 2, 3, 4, 6, 9, 15))
	i.attempts, errs[2] = m.Int64Counter("failover.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that have ended."))
	observable := func(name, unit, description string) (metric.Int64ObservableUpDownCounter, error) {
		return m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	}
	i.waiting, errs[3] = observable("failover.call.waiting", "{call}", "Calls that wait for a replica.")
	i.inFlight, errs[4] = observable("failover.replica.in_flight", "{attempt}", "Attempts in flight at a replica.")
	i.limit, errs[5] = observable("failover.replica.limit", "{attempt}", "Attempts that may be in flight at a replica.")
	i.ready, errs[6] = observable("failover.replica.ready", "{replica}", "Whether there is a connection to a replica.")
	i.ejected, errs[7] = observable("failover.replica.ejected", "{replica}", "Whether a replica is ejected.")
	return &i, errors.Join(errs[:]...)
}

// watch observes the connection whenever metrics are collected. A provider keeps its callbacks
// forever, so the callback refers to the connection weakly and is unregistered when the connection
// is garbage.
func (t *telemetry) watch() {
	ref, i := weak.Make(t), t.instruments
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if t := ref.Value(); t != nil && t.conn.GetState() != connectivity.Shutdown {
			t.observe(o)
		}
		return nil
	}, i.waiting, i.inFlight, i.limit, i.ready, i.ejected)
	if err != nil {
		otel.Handle(err)
		return
	}
	runtime.AddCleanup(t, func(r metric.Registration) {
		if err := r.Unregister(); err != nil {
			otel.Handle(err)
		}
	}, registration)
}

func (t *telemetry) observe(o metric.Observer) {
	s, i := t.client.Statistics(), t.instruments
	o.ObserveInt64(i.waiting, int64(s.Waiting), metric.WithAttributes(t.server...))
	for _, r := range s.Replicas {
		at := metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(t.server), replicaKey.String(r.Replica))...))
		o.ObserveInt64(i.inFlight, int64(r.InFlight), at)
		o.ObserveInt64(i.ready, number(r.Ready), at)
		o.ObserveInt64(i.ejected, number(r.Ejected), at)
		if s.Limit > 0 {
			o.ObserveInt64(i.limit, int64(s.Limit), at)
		}
	}
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
