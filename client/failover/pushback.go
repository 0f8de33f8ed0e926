package failover

import (
	"math"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// pushbackTrailer is the trailer in which a server says when to repeat a request (gRFC A6).
const pushbackTrailer = "grpc-retry-pushback-ms"

// pushback returns how long the server asks to wait before the request is repeated, in the trailer
// of gRFC A6 or else in a google.rpc.RetryInfo among the details of its status. Zero means that it
// did not ask; a negative value means that the request must not be repeated.
func pushback(trailer metadata.MD, err error) time.Duration {
	if values := trailer[pushbackTrailer]; len(values) > 0 {
		return parsePushback(values)
	}
	if status.Code(err) == codes.OK {
		return 0
	}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().IsValid() {
			return max(info.GetRetryDelay().AsDuration(), 0)
		}
	}
	return 0
}

// parsePushback parses the trailer as gRPC's own retries do: anything but a single number of at
// least 0 forbids a repetition.
func parsePushback(values []string) time.Duration {
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || ms < 0 || len(values) > 1 {
		return -1
	}
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
