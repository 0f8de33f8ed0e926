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

// resetOutputs clears what an earlier attempt has left where the caller will look: gRPC leaves a
// header, trailer or peer as it was when a later attempt gets no stream, and a reply that came
// before an error stays filled.
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

// resetReply empties a reply: a message of either protobuf API by its own means, what another codec
// fills, such as a struct for JSON, by setting it to zero.
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

// separable reports whether an attempt can be given a reply of its own, beside that of another
// attempt on its way.
func separable(reply any) bool {
	switch reply.(type) {
	case nil, proto.Message:
		return true
	case protoadapt.MessageV1:
	case interface{ Reset() }:
		return false // it alone knows how to copy it
	}
	v := reflect.ValueOf(reply)
	return v.Kind() == reflect.Pointer && !v.IsNil()
}

// newReply returns what makes another reply of the same kind, without a look at the contents of
// this one.
func newReply(reply any) func() any {
	switch m := reply.(type) {
	case nil:
		return func() any { return nil }
	case proto.Message:
		kind := m.ProtoReflect().Type() // of which the Go type does not tell all, as of a dynamicpb.Message
		return func() any { return kind.New().Interface() }
	default:
		kind := reflect.TypeOf(reply).Elem()
		return func() any { return reflect.New(kind).Interface() }
	}
}

// moveReply gives the reply to the caller, who has an empty one of the same kind.
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

// separate returns the request with outputs of its own.
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

// moveOutputs gives the caller what is in the outputs of a request made by separate.
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
