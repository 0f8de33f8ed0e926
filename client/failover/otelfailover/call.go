package otelfailover

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// call is a call under way. Its context contains it, for its attempts.
type call struct {
	*telemetry
	ctx      context.Context
	method   *method
	span     trace.Span
	start    time.Time
	attempts atomic.Int64 // number of attempts that have ended
}

type callKey struct{}

// method holds what all calls of a method share.
type method struct {
	name       string // as in the semantic conventions, without the leading slash
	attributes []attribute.KeyValue
	start      []trace.SpanStartOption
	all, ok    []metric.RecordOption // for all calls, and for those that succeed
}

// other stands for all methods whose names may be made up at run time.
const other = "_OTHER"

// methodOf returns the method of a call.
func (t *telemetry) methodOf(full string, opts []grpc.CallOption) *method {
	if !slices.ContainsFunc(opts, isStatic) {
		full = other
	}
	if m, ok := t.methods.Load(full); ok {
		return m.(*method)
	}
	m, _ := t.methods.LoadOrStore(full, t.newMethod(strings.TrimPrefix(full, "/")))
	return m.(*method)
}

func isStatic(o grpc.CallOption) bool {
	_, ok := o.(grpc.StaticMethodCallOption)
	return ok
}

func (t *telemetry) newMethod(name string) *method {
	m := &method{name: name, attributes: append(slices.Clip(t.server), semconv.RPCMethod(name))}
	m.start = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(append(slices.Clip(m.attributes), semconv.RPCSystemNameGRPC)...),
	}
	m.all = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(m.attributes...))}
	m.ok = m.with(statusCode(nil))
	return m
}

// with returns the option for the method's attributes and more.
func (m *method) with(more ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(m.attributes), more...)...))}
}

// begin starts the span, and returns the context for the call.
func (t *telemetry) begin(ctx context.Context, cc *grpc.ClientConn, full string, opts []grpc.CallOption) (context.Context, *call) {
	t.attach(cc)
	c := &call{telemetry: t, method: t.methodOf(full, opts), start: time.Now()}
	name := c.method.name
	if name == other {
		name = semconv.RPCSystemNameGRPC.Value.AsString()
	}
	ctx, c.span = t.tracer.Start(ctx, name, c.method.start...)
	if c.method.name == other && c.span.IsRecording() {
		c.span.SetAttributes(semconv.RPCMethodOriginal(strings.TrimPrefix(full, "/")))
	}
	c.ctx = context.WithValue(ctx, callKey{}, c)
	out := carrier{ctx: ctx}
	t.propagator.Inject(ctx, &out)
	if out.md != nil {
		return metadata.NewOutgoingContext(c.ctx, out.md), c
	}
	return c.ctx, c
}

// untraced returns the context of a probe, which has that of the call that caused the ejection,
// without the call's span. What else the propagator writes, such as baggage, remains.
func (t *telemetry) untraced(ctx context.Context) context.Context {
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	out := carrier{ctx: ctx}
	if out.md, _ = metadata.FromOutgoingContext(ctx); out.md == nil {
		return ctx
	}
	for _, key := range t.propagator.Fields() {
		out.md.Delete(key)
	}
	t.propagator.Inject(ctx, &out)
	return metadata.NewOutgoingContext(ctx, out.md)
}

// onAttempt records the end of an attempt in the call that it belongs to.
func onAttempt(ctx context.Context, a failover.Attempt) {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.attempt(ctx, a)
	}
}

func (c *call) attempt(ctx context.Context, a failover.Attempt) {
	c.attempts.Add(1)
	replica, outcome := replicaKey.String(a.Replica), outcomeKey.String(a.Outcome.String())
	if n := c.instruments.attempts; n.Enabled(ctx) {
		n.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(c.server), replica, outcome)...)))
	}
	if c.span.IsRecording() {
		c.span.AddEvent("failover.attempt", trace.WithAttributes(
			replica, outcome,
			attribute.Int("failover.attempt.number", a.Number),
			attribute.Int("failover.attempt.round", a.Round),
			attribute.Bool("failover.attempt.hedge", a.Hedge),
			attribute.Bool("failover.attempt.sent", a.Sent),
			attribute.Float64("failover.attempt.duration", a.Duration.Seconds()),
			statusCode(a.Err),
		))
	}
}

// end records the end of the call.
func (c *call) end(err error) {
	took := time.Since(c.start).Seconds()
	c.instruments.perCall.Record(c.ctx, c.attempts.Load(), c.method.all...)
	if err == nil {
		c.instruments.duration.Record(c.ctx, took, c.method.ok...)
		if c.span.IsRecording() {
			c.span.SetAttributes(statusCode(nil))
		}
		c.span.End()
		return
	}
	why := []attribute.KeyValue{statusCode(err)}
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		why = append(why, reasonKey.String(reasonName(failed.Reason)))
	}
	if c.instruments.duration.Enabled(c.ctx) {
		c.instruments.duration.Record(c.ctx, took, c.method.with(why...)...)
	}
	if c.span.IsRecording() {
		c.span.SetAttributes(append(why, semconv.ErrorTypeKey.String(why[0].Value.AsString()))...)
		c.span.SetStatus(codes.Error, status.Convert(err).Message())
	}
	c.span.End()
}

// carrier receives what a propagator writes. It copies the metadata only if something is written.
type carrier struct {
	ctx context.Context
	md  metadata.MD // copy of the outgoing metadata, once something is written
}

// Set sets a value. It replaces one that the caller may have forwarded from an incoming request.
func (c *carrier) Set(key, value string) {
	if c.md == nil {
		if c.md, _ = metadata.FromOutgoingContext(c.ctx); c.md == nil {
			c.md = metadata.MD{}
		}
	}
	c.md.Set(key, value)
}

// Get returns the first value of a key, once something has been written.
func (c *carrier) Get(key string) string {
	if values := c.md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Keys returns all keys, once something has been written.
func (c *carrier) Keys() []string { return slices.Collect(maps.Keys(c.md)) }
