// Package otelfailover instruments failover connections with OpenTelemetry: a span per call with an
// event per attempt, and metrics of calls, attempts and replicas. Use its NewClient in place of
// failover.NewClient. It depends only on the OpenTelemetry API; the program chooses the SDK and the
// exporter.
//
// # Spans
//
// A call is one client span, however many attempts it makes, with the attributes of the RPC
// semantic conventions. Its context is propagated to every replica that is tried. Each attempt
// adds, at its end, an event "failover.attempt" with
//
//	failover.replica           the address, as the resolver returned it
//	failover.outcome           ok, refused, lost, failed, timeout, rejected or canceled
//	failover.attempt.number    its number among the call's attempts, from 1
//	failover.attempt.round     its round, from 1
//	failover.attempt.hedge     whether it joined an attempt in flight
//	failover.attempt.sent      false if no byte of it can have reached the replica
//	failover.attempt.duration  how long it took, in seconds
//	rpc.response.status_code   the status it ended with, such as UNAVAILABLE
//
// A call that fails has the status Error with the message of its gRPC status, and the attribute
// failover.reason: why there was no further attempt. The span of a stream ends with the stream or
// the caller's context; its attempts end, as everywhere in failover, with the first message.
//
// # Metrics
//
//	failover.call.duration     histogram, s          from the beginning of a call or stream to its end, by method,
//	                                                 status code and, if it failed, failover.reason:
//	                                                 budget_spent, shed, rounds_spent, caller_ended …
//	failover.call.attempts     histogram, {attempt}  attempts per call, by method
//	failover.attempts          counter, {attempt}    attempts that have ended, by failover.replica and failover.outcome
//	failover.call.waiting      {call}                calls that are waiting for a replica
//	failover.replica.in_flight {attempt}             attempts in flight, by failover.replica
//	failover.replica.limit     {attempt}             how many may be in flight, by failover.replica; absent without a limit
//	failover.replica.ready     {replica}             1 or 0: whether there is a connection, by failover.replica
//	failover.replica.ejected   {replica}             1 or 0: whether the replica is ejected, by failover.replica
//
// The last five are read from Client.Statistics when metrics are collected, from the connection's
// first call until it is closed. They are sums: several connections to one target add up. All
// metrics have server.address and server.port, which name the connection's target, not a replica.
// Methods called by generated code, or with grpc.StaticMethod, appear by name. All others appear as
// _OTHER, so that method names made up at run time cannot flood a metrics store.
//
// Health probes of ejected replicas are not calls: they have no spans, do not belong to the trace of
// the call that caused the ejection, and appear in no metric.
//
// # Beside otelgrpc
//
// The stats handler of otelgrpc may be used as well. It observes the wire: its spans are the
// attempts, as children of the call's span, and the probes; its rpc.client.call.duration counts
// these, not calls.
package otelfailover

import (
	"cmp"
	"context"
	"sync"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
)

// Options says where telemetry goes. The zero value uses the global providers, which may be set
// later.
type Options struct {
	// TracerProvider creates the spans. Nil means otel.GetTracerProvider.
	TracerProvider trace.TracerProvider
	// MeterProvider creates the metrics. Nil means otel.GetMeterProvider.
	MeterProvider metric.MeterProvider
	// Propagator writes a call's span into the metadata of its attempts. Nil means
	// otel.GetTextMapPropagator, which writes nothing until one is set.
	Propagator propagation.TextMapPropagator
}

// NewClient is like failover.NewClient, with telemetry. Interceptors among the options run within
// the call's span. An error comes from the MeterProvider or from failover.NewClient.
func NewClient(target string, p failover.Policy, o Options, opts ...grpc.DialOption) (*failover.Client, error) {
	t, err := newTelemetry(o)
	if err != nil {
		return nil, err
	}
	user := p.OnAttempt
	p.OnAttempt = func(ctx context.Context, method string, a failover.Attempt) {
		if user != nil {
			user(ctx, method, a)
		}
		onAttempt(ctx, a)
	}
	t.client, err = failover.NewClient(target, p, append([]grpc.DialOption{
		grpc.WithChainUnaryInterceptor(t.unary),
		grpc.WithChainStreamInterceptor(t.streaming),
	}, opts...)...)
	return t.client, err
}

const scope = "example.com/crashlab/client/failover/otelfailover"

// telemetry is the instrumentation of one connection.
type telemetry struct {
	tracer      trace.Tracer
	propagator  propagation.TextMapPropagator
	meter       metric.Meter
	instruments *instruments
	client      *failover.Client

	first  sync.Once // guards what follows, which the first call sets
	conn   *grpc.ClientConn
	server []attribute.KeyValue

	methods sync.Map // full name → *method
}

func newTelemetry(o Options) (*telemetry, error) {
	meter := cmp.Or(o.MeterProvider, otel.GetMeterProvider()).Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	instruments, err := newInstruments(meter)
	return &telemetry{
		tracer:      cmp.Or(o.TracerProvider, otel.GetTracerProvider()).Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagator:  cmp.Or(o.Propagator, otel.GetTextMapPropagator()),
		meter:       meter,
		instruments: instruments,
	}, err
}

// attach records the connection at its first call.
func (t *telemetry) attach(cc *grpc.ClientConn) {
	t.first.Do(func() {
		t.conn, t.server = cc, serverAttributes(cc)
		t.watch()
	})
}

func (t *telemetry) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if failover.IsProbe(opts) {
		return invoker(t.untraced(ctx), method, req, reply, cc, opts...)
	}
	ctx, c := t.begin(ctx, cc, method, opts)
	err := invoker(ctx, method, req, reply, cc, opts...)
	c.end(err)
	return err
}

func (t *telemetry) streaming(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, c := t.begin(ctx, cc, method, opts)
	cs, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil {
		c.end(err)
		return nil, err
	}
	return newStream(ctx, cs, desc, c), nil
}
