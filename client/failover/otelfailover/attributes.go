package otelfailover

import (
	"net"
	"strconv"
	"strings"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// The attributes that spans and metrics share.
const (
	replicaKey = attribute.Key("failover.replica")
	outcomeKey = attribute.Key("failover.outcome")
	reasonKey  = attribute.Key("failover.reason")
)

// reasonNames are the values of failover.reason. The strings of failover.Reason are phrases for
// people.
var reasonNames = map[failover.Reason]string{
	failover.ReasonRoundsSpent:  "rounds_spent",
	failover.ReasonNotRetryable: "not_retryable",
	failover.ReasonAmbiguous:    "ambiguous",
	failover.ReasonOutOfTime:    "out_of_time",
	failover.ReasonPushedBack:   "pushed_back",
	failover.ReasonBudgetSpent:  "budget_spent",
	failover.ReasonShed:         "shed",
	failover.ReasonCallerEnded:  "caller_ended",
	failover.ReasonNoReplica:    "no_replica",
	failover.ReasonInvalid:      "invalid",
}

func reasonName(r failover.Reason) string {
	if name, ok := reasonNames[r]; ok {
		return name
	}
	return r.String()
}

// statusCode returns the status code of an attempt or a call, by its name in the gRPC
// specification.
func statusCode(err error) attribute.KeyValue {
	return semconv.RPCResponseStatusCode(code.Code(status.Code(err)).String())
}

// serverAttributes identifies the target of the connection, following the semantic conventions for
// gRPC: by host and port if the target is one host, otherwise as a whole.
func serverAttributes(cc *grpc.ClientConn) []attribute.KeyValue {
	scheme, rest, _ := strings.Cut(cc.CanonicalTarget(), "://")
	_, endpoint, _ := strings.Cut(rest, "/")
	if scheme == "dns" || scheme == "passthrough" {
		if host, port, err := net.SplitHostPort(endpoint); err == nil {
			if n, err := strconv.Atoi(port); err == nil {
				return []attribute.KeyValue{semconv.ServerAddress(host), semconv.ServerPort(n)}
			}
		}
	}
	return []attribute.KeyValue{semconv.ServerAddress(cc.Target())}
}
