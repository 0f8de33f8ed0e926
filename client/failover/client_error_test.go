package failover_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"golang.org/x/net/http2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// jsonCodec is a codec of the user's that cannot encode a func.
type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
func (jsonCodec) Name() string                       { return "test-json" }

// brokenCredentials are credentials that always fail.
type brokenCredentials struct{ err error }

func (c brokenCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, c.err
}
func (brokenCredentials) RequireTransportSecurity() bool { return false }

// An error raised on the client side fails the call at once, whatever its code, and does not count
// against a replica.
func TestClientErrorsBlameNoReplica(t *testing.T) {
	large := wrapperspb.String(strings.Repeat("x", 2000))
	for _, tc := range []struct {
		name string
		req  any
		opts []grpc.CallOption
	}{
		{"a request too large", large, []grpc.CallOption{grpc.MaxCallSendMsgSize(1000)}},
		{"a reply too large", wrapperspb.String("echo"), []grpc.CallOption{grpc.MaxCallRecvMsgSize(100)}},
		{"a request that cannot be encoded", wrapperspb.String("\xff"), nil},
		{"a request that is not a message", "text", nil},
		{"one that another codec cannot encode", func() {}, []grpc.CallOption{grpc.ForceCodec(jsonCodec{})}},
		{"no such compressor", wrapperspb.String("x"), []grpc.CallOption{grpc.UseCompressor("none")}},
		{"no such codec", wrapperspb.String("x"), []grpc.CallOption{grpc.CallContentSubtype("none")}},
		{"credentials that fail", wrapperspb.String("x"), []grpc.CallOption{grpc.PerRPCCredentials(brokenCredentials{errors.New("no token")})}},
		{"credentials that are unavailable", wrapperspb.String("x"), []grpc.CallOption{grpc.PerRPCCredentials(brokenCredentials{status.Error(codes.Unavailable, "no token")})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				for _, r := range c {
					r.other = says(strings.Repeat("y", 2000))
				}
				conn := c.connect(t, failover.Policy{
					Rounds: 3, AdaptiveLimit: true,
					Retryable: []codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Internal, codes.Unimplemented, codes.Unauthenticated},
				})
				for range 5 {
					var attempts []failover.Attempt
					err := conn.Invoke(t.Context(), workMethod, tc.req, new(wrapperspb.StringValue), append(tc.opts, failover.Trace(&attempts))...)
					if len(attempts) != 1 || attempts[0].Outcome != failover.OutcomeRejected || reason(err) != failover.ReasonNotRetryable {
						t.Fatalf("got %q, %v, want one attempt, rejected", path(attempts), err)
					}
				}
				if s := conn.Statistics(); s.Ejections != 0 || s.CrashRate != 0 {
					t.Errorf("%d ejections and a crash rate of %v, want none", s.Ejections, s.CrashRate)
				}
			})
		})
	}
}

// The same codes from a replica are retried according to the policy.
func TestReplicasErrorsOfTheSameCodesAreRetried(t *testing.T) {
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.Internal, codes.Unimplemented, codes.Canceled} {
		t.Run(code.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].handle = answer(code)
				attempts, err := call(t.Context(), c.connect(t, failover.Policy{Retryable: []codes.Code{code}}))
				if got, want := path(attempts), "a:1 failed sent, b:1 ok sent"; got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			})
		})
	}
	for code, reset := range map[codes.Code]http2.ErrCode{
		codes.ResourceExhausted: http2.ErrCodeEnhanceYourCalm, codes.Internal: http2.ErrCodeInternal, codes.Canceled: http2.ErrCodeCancel,
	} {
		t.Run("reset as "+code.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].raw(t, resetStream(reset))
				attempts, err := call(t.Context(), c.connect(t, failover.Policy{Retryable: []codes.Code{code}}))
				if got, want := path(attempts), "a:1 lost sent, b:1 ok sent"; got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			})
		})
	}
}

// A server may signal by a code or a trailer that it has not executed a request.
func TestNotExecutedIsRepeated(t *testing.T) {
	shed := failover.NotExecuted{Codes: []codes.Code{codes.ResourceExhausted}, Trailer: "Not-Executed"}
	marked := func(ctx context.Context) error {
		grpc.SetTrailer(ctx, metadata.Pairs("not-executed", ""))
		return status.Error(codes.Aborted, "later")
	}
	for _, tc := range []struct {
		name   string
		handle func(context.Context) error
		policy failover.NotExecuted
		want   string
	}{
		{"a code", answer(codes.ResourceExhausted), shed, "a:1 failed sent, b:1 ok sent"},
		{"a trailer", marked, shed, "a:1 failed sent, b:1 ok sent"},
		{"neither", answer(codes.Unavailable), shed, "a:1 failed sent"},
		{"a code that says nothing", answer(codes.ResourceExhausted), failover.NotExecuted{}, "a:1 rejected sent"},
		{"a trailer that says nothing", marked, failover.NotExecuted{}, "a:1 rejected sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].handle = tc.handle
				conn := c.connect(t, failover.Policy{NotExecuted: tc.policy, Idempotent: map[string]bool{"/": false}})
				if attempts, err := call(t.Context(), conn); path(attempts) != tc.want {
					t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
				}
			})
		})
	}
}

// google.rpc.RetryInfo among the details of a status is a pushback. The trailer takes precedence.
func TestRetryInfoIsObeyed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		delay   time.Duration
		trailer string // empty: none
		took    time.Duration
		path    string
	}{
		{"a delay", 2 * time.Second, "", 2 * time.Second, "a:1 failed sent, b:1 ok sent"},
		{"none", 0, "", 0, "a:1 failed sent, b:1 ok sent"},
		{"a negative one", -time.Second, "", 0, "a:1 failed sent, b:1 ok sent"},
		{"a trailer as well", 2 * time.Second, "100", 100 * time.Millisecond, "a:1 failed sent, b:1 ok sent"},
		{"beyond the deadline", time.Hour, "", 0, "a:1 failed sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].handle = func(ctx context.Context) error {
					if tc.trailer != "" {
						grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", tc.trailer))
					}
					s, err := status.New(codes.Unavailable, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(tc.delay)})
					if err != nil {
						t.Error(err)
					}
					return s.Err()
				}
				conn := c.connect(t, failover.Policy{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				attempts, err := call(ctx, conn)
				if took := time.Since(start); path(attempts) != tc.path || took != tc.took {
					t.Errorf("got %q, %v, after %v, want %q after %v", path(attempts), err, took, tc.path, tc.took)
				}
			})
		})
	}
}
