package failover

import (
	"reflect"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// resetOutputs clears the outputs of an earlier attempt. gRPC does not: it leaves the header,
// trailer and peer as they were if a later attempt gets no stream, and a reply that came before an
// error stays filled.
func resetOutputs(reply any, opts []grpc.CallOption) {
	resetReply(reply)
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = nil
		case grpc.TrailerCallOption:
			*o.TrailerAddr = nil
		case grpc.PeerCallOption:
			*o.PeerAddr = peer.Peer{}
		}
	}
}

// resetReply empties a reply: a message of either protobuf API by its Reset, and anything else that
// a codec fills, such as a struct for JSON, by setting it to zero.
func resetReply(reply any) {
	switch m := reply.(type) {
	case nil:
	case proto.Message:
		proto.Reset(m)
	case interface{ Reset() }:
		m.Reset()
	default:
		if v := reflect.ValueOf(reply); v.Kind() == reflect.Pointer && !v.IsNil() {
			v.Elem().SetZero()
		}
	}
}

// separable reports whether newReply and moveReply work for the reply, so that concurrent attempts
// can have their own.
func separable(reply any) bool {
	switch reply.(type) {
	case nil, proto.Message:
		return true
	case protoadapt.MessageV1:
	case interface{ Reset() }:
		return false // only the type itself knows how to copy its values
	}
	v := reflect.ValueOf(reply)
	return v.Kind() == reflect.Pointer && !v.IsNil()
}

// newReply returns a function that creates replies of the same kind. The function does not read
// reply.
func newReply(reply any) func() any {
	switch m := reply.(type) {
	case nil:
		return func() any { return nil }
	case proto.Message:
		kind := m.ProtoReflect().Type() // the Go type alone does not determine a dynamicpb.Message
		return func() any { return kind.New().Interface() }
	default:
		kind := reflect.TypeOf(reply).Elem()
		return func() any { return reflect.New(kind).Interface() }
	}
}

// moveReply moves a reply into an empty one of the same kind.
func moveReply(to, from any) {
	switch m := to.(type) {
	case nil:
	case proto.Message:
		proto.Merge(m, from.(proto.Message))
	case protoadapt.MessageV1:
		proto.Merge(protoadapt.MessageV2Of(m), protoadapt.MessageV2Of(from.(protoadapt.MessageV1)))
	default:
		reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
	}
}

// separate returns a copy of the request with separate outputs.
func (r request) separate(reply any) request {
	r.reply = reply
	r.opts = slices.Clone(r.opts)
	for i, o := range r.opts {
		switch o.(type) {
		case grpc.HeaderCallOption:
			r.opts[i] = grpc.Header(new(metadata.MD))
		case grpc.TrailerCallOption:
			r.opts[i] = grpc.Trailer(new(metadata.MD))
		case grpc.PeerCallOption:
			r.opts[i] = grpc.Peer(new(peer.Peer))
		}
	}
	return r
}

// moveOutputs moves the outputs of a request returned by separate to the original request.
func moveOutputs(to, from request) {
	resetOutputs(to.reply, to.opts)
	moveReply(to.reply, from.reply)
	for i, o := range to.opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = *from.opts[i].(grpc.HeaderCallOption).HeaderAddr
		case grpc.TrailerCallOption:
			*o.TrailerAddr = *from.opts[i].(grpc.TrailerCallOption).TrailerAddr
		case grpc.PeerCallOption:
			*o.PeerAddr = *from.opts[i].(grpc.PeerCallOption).PeerAddr
		}
	}
}
