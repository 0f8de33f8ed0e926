package failover

import (
	"context"
	"math"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// wire is what gRPC knows about the request of an attempt.
type wire struct {
	core.Wire
	trailer metadata.MD
}

// answeredWire is the wire of an attempt that succeeded, and the cautious assumption if the end of
// an attempt is unknown.
var answeredWire = wire{Wire: core.Wire{Picked: true, Sent: true, Answered: true}}

func wireOf(on *replicas.Attempt) wire {
	return wire{core.Wire{Picked: on.Picked(), Sent: on.Sent, Answered: on.Answered, Unprocessed: on.Unprocessed()}, on.Trailer}
}

// outcome classifies an attempt that failed. It never inspects the error's text: the two contexts
// show whose deadline passed, and w shows what happened on the wire.
func (p *plan) outcome(parent, attempt context.Context, req any, w wire, err error) Outcome {
	code := status.Code(err)
	switch {
	case ended(parent) != nil && (code == codes.Canceled || code == codes.DeadlineExceeded):
		return OutcomeCanceled
	case code == codes.DeadlineExceeded && (ended(attempt) != nil || !w.Answered):
		return OutcomeTimeout // not answered: a timeout that the service config sets for the method
	case p.raisedLocally(req, w, code):
		return OutcomeRejected
	case p.policy.NotExecuted.matches(w, err):
		return OutcomeFailed
	case !p.policy.retryable(code):
		return OutcomeRejected
	case !w.Sent:
		return OutcomeRefused
	case w.Answered:
		return OutcomeFailed
	default:
		return OutcomeLost
	}
}

// raisedLocally reports whether an error was raised on the client side, so that no replica is to
// blame and another attempt would fail in the same way.
func (p *plan) raisedLocally(req any, w wire, code codes.Code) bool {
	switch {
	case !w.Sent:
		// If the connection is to blame, none was picked in the end and the code is Unavailable.
		return w.Picked || code != codes.Unavailable
	case w.Answered:
		// A reply that is too large, or cannot be decompressed or decoded. A status sent by a
		// replica comes with a trailer, which is empty only if a header was sent before it.
		return len(w.trailer) == 0 && (code == codes.ResourceExhausted || code == codes.Internal || code == codes.Unimplemented)
	default:
		// A message that can be sent means that the replica reset the stream.
		return (code == codes.ResourceExhausted || code == codes.Internal) && !p.sendable(req)
	}
}

// sendable reports whether a message can be encoded and is within the size limit.
func (p *plan) sendable(m any) bool {
	limit := math.MaxInt32
	codec := encoding.GetCodecV2("proto")
	for _, o := range p.request.opts {
		switch o := o.(type) {
		case grpc.MaxSendMsgSizeCallOption:
			limit = o.MaxSendMsgSize
		case grpc.ContentSubtypeCallOption:
			codec = codecNamed(o.ContentSubtype)
		case grpc.ForceCodecCallOption:
			codec = codecV1{o.Codec}
		case grpc.ForceCodecV2CallOption:
			codec = o.CodecV2
		}
	}
	if most := p.request.cc.GetMethodConfig(p.request.method).MaxReqSize; most != nil {
		limit = min(limit, *most)
	}
	if codec == nil {
		return false
	}
	data, err := codec.Marshal(m)
	if err != nil {
		return false
	}
	defer data.Free()
	return data.Len() <= limit
}

func codecNamed(name string) encoding.CodecV2 {
	if codec := encoding.GetCodecV2(name); codec != nil {
		return codec
	}
	if codec := encoding.GetCodec(name); codec != nil {
		return codecV1{codec}
	}
	return nil
}

// codecV1 adapts a Codec to CodecV2.
type codecV1 struct{ encoding.Codec }

func (c codecV1) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.Codec.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(data)}, err
}

func (c codecV1) Unmarshal(data mem.BufferSlice, v any) error {
	return c.Codec.Unmarshal(data.Materialize(), v)
}
