package otelfailover_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// send returns a handler that sends n messages, the first at once and one each second, and ends the
// stream with the error.
func send(n int, err error) func(grpc.ServerStream) error {
	return func(s grpc.ServerStream) error {
		for i := range n {
			if i > 0 {
				select {
				case <-time.After(time.Second):
				case <-s.Context().Done():
					return s.Context().Err()
				}
			}
			if err := s.SendMsg(new(healthv1.HealthCheckResponse)); err != nil {
				return err
			}
		}
		return err
	}
}

// outcome returns how a span ended: "OK", or the code and reason of its error.
func outcome(status codes.Code, attributes []attribute.KeyValue) string {
	set := attribute.NewSet(attributes...)
	code, _ := set.Value("rpc.response.status_code")
	reason, _ := set.Value("failover.reason")
	s := code.AsString()
	if (status == codes.Error) != (s != "OK") {
		return "status " + status.String() + " with " + s
	}
	if reason.AsString() != "" {
		s += " " + reason.AsString()
	}
	return s
}

func TestStreamIsOneSpanToItsEnd(t *testing.T) {
	unavailable := status.Error(grpccodes.Unavailable, "as requested")
	for _, tc := range []struct {
		name    string
		a, b    func(grpc.ServerStream) error
		outcome string
		path    string
		lasts   time.Duration
	}{
		{"first message from the second replica", send(0, unavailable), send(3, nil),
			"OK", "1 a:1 failed sent UNAVAILABLE, 2 b:1 ok sent OK", 2 * time.Second},
		{"empty", send(0, nil), nil, "OK", "1 a:1 ok sent OK", 0},
		{"fails after its first message", send(2, unavailable), nil, "UNAVAILABLE", "1 a:1 ok sent OK", time.Second},
		{"fails everywhere", send(0, unavailable), send(0, unavailable),
			"UNAVAILABLE rounds_spent", "1 a:1 failed sent UNAVAILABLE, 2 b:1 failed sent UNAVAILABLE", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLab(t, 2)
				l.replicas[0].stream, l.replicas[1].stream = tc.a, tc.b
				stream, err := healthv1.NewHealthClient(l.dial(failover.Policy{})).Watch(t.Context(), new(healthv1.HealthCheckRequest))
				for err == nil {
					if n := len(l.spans.GetSpans()); n != 0 {
						t.Fatalf("%d spans ended before the stream", n)
					}
					_, err = stream.Recv()
				}
				span := l.ended()
				if got := outcome(span.Status.Code, span.Attributes); got != tc.outcome {
					t.Errorf("ended with %s, want %s", got, tc.outcome)
				}
				if got := path(span); got != tc.path {
					t.Errorf("got %s, want %s", got, tc.path)
				}
				if got := span.EndTime.Sub(span.StartTime); got != tc.lasts {
					t.Errorf("the span lasts %v, want %v", got, tc.lasts)
				}
				points := l.metrics()["failover.call.duration"].(metricdata.Histogram[float64]).DataPoints
				if len(points) != 1 || points[0].Sum != tc.lasts.Seconds() {
					t.Errorf("got durations %+v, want one of %v", points, tc.lasts)
				}
			})
		})
	}
}

// A caller need not use a stream any more once its context has ended.
func TestStreamThatIsAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, 1)
		l.replicas[0].stream = send(3, nil)
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := healthv1.NewHealthClient(l.dial(failover.Policy{})).Watch(ctx, new(healthv1.HealthCheckRequest))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		cancel()
		synctest.Wait()
		span := l.ended()
		if got := outcome(span.Status.Code, span.Attributes); got != "CANCELLED" {
			t.Errorf("ended with %s, want CANCELLED", got)
		}
		stream.Recv()
		if got := points(l.metrics()["failover.call.duration"])["rpc.method=grpc.health.v1.Health/Watch rpc.response.status_code=CANCELLED"]; got != 1 {
			t.Errorf("the call was counted %d times, want once", got)
		}
	})
}

// If the caller is in Recv, its error determines how the stream ends: the context alone does not
// have the reason.
func TestStreamThatIsCanceledInRecv(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, 1)
		l.replicas[0].stream = func(s grpc.ServerStream) error { return hang(s.Context()) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := healthv1.NewHealthClient(l.dial(failover.Policy{})).Watch(ctx, new(healthv1.HealthCheckRequest))
		if err != nil {
			t.Fatal(err)
		}
		stream.Recv()
		synctest.Wait()
		span := l.ended()
		if got := outcome(span.Status.Code, span.Attributes); got != "DEADLINE_EXCEEDED caller_ended" {
			t.Errorf("ended with %s, want DEADLINE_EXCEEDED caller_ended", got)
		}
		if got, want := path(span), "1 a:1 canceled sent DEADLINE_EXCEEDED"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestClientStream(t *testing.T) {
	// collect answers with one message when the client has finished sending.
	collect := func(s grpc.ServerStream) error {
		for {
			if err := s.RecvMsg(new(healthv1.HealthCheckRequest)); err == io.EOF {
				return s.SendMsg(new(healthv1.HealthCheckResponse))
			} else if err != nil {
				return err
			}
		}
	}
	for _, desc := range []*grpc.StreamDesc{{ClientStreams: true}, {ClientStreams: true, ServerStreams: true}} {
		l := newLab(t, 1)
		l.replicas[0].stream = collect
		stream, err := l.dial(failover.Policy{}).NewStream(t.Context(), desc, "/test.Stream/Collect", grpc.StaticMethod())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(new(healthv1.HealthCheckRequest)); err != nil {
			t.Fatal(err)
		}
		stream.CloseSend()
		if err := stream.RecvMsg(new(healthv1.HealthCheckResponse)); err != nil {
			t.Fatal(err)
		}
		if desc.ServerStreams {
			if n := len(l.spans.GetSpans()); n != 0 {
				t.Errorf("%d spans ended before the stream", n)
			}
			if err := stream.RecvMsg(new(healthv1.HealthCheckResponse)); err != io.EOF {
				t.Fatalf("got %v, want the end", err)
			}
		}
		span := l.ended()
		if got := outcome(span.Status.Code, span.Attributes); got != "OK" || span.Name != "test.Stream/Collect" {
			t.Errorf("%s ended with %s, want test.Stream/Collect and OK", span.Name, got)
		}
		if got := path(span); got != "1 a:1 ok sent OK" {
			t.Errorf("got %s, want one attempt", got)
		}
	}
}

// A stream that cannot be opened fails when the caller opens it or sends its only message.
func TestStreamThatCannotBeOpened(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{{ClientStreams: true}, {ServerStreams: true}} {
		l := newLab(t, 1)
		l.replicas[0].down.Store(true)
		stream, err := l.dial(failover.Policy{}).NewStream(t.Context(), desc, "/test.Stream/Any", grpc.StaticMethod())
		if err == nil {
			err = stream.SendMsg(new(healthv1.HealthCheckRequest))
		}
		if status.Code(err) != grpccodes.Unavailable {
			t.Fatalf("got %v, want Unavailable", err)
		}
		span := l.ended()
		if got := outcome(span.Status.Code, span.Attributes); got != "UNAVAILABLE rounds_spent" || path(span) != "1 a:1 refused UNAVAILABLE" {
			t.Errorf("ended with %s after %s", got, path(span))
		}
	}
}
