package failover_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// oldMessage is a message of protobuf's API v1, such as in code generated before 2020. Only its
// Reset can empty it.
type oldMessage struct {
	Value string `protobuf:"bytes,1,opt,name=value,proto3"`

	resets int
}

func (m *oldMessage) Reset()         { *m = oldMessage{resets: m.resets + 1} }
func (m *oldMessage) String() string { return m.Value }
func (*oldMessage) ProtoMessage()    {}

// wrapped is a message that is not a pointer.
type wrapped struct{ *oldMessage }

func (w wrapped) Reset() { w.oldMessage.Reset() }

// A reply of any kind is empty before each attempt, and filled by the last.
func TestRepliesOfAnyKind(t *testing.T) {
	dynamic := dynamicpb.NewMessage(new(wrapperspb.StringValue).ProtoReflect().Descriptor())
	field := dynamic.Descriptor().Fields().ByName("value")
	for name, reply := range map[string]struct {
		reply any
		opts  []grpc.CallOption
		value func(reply any) string
	}{
		"API v2": {new(wrapperspb.StringValue), nil,
			func(r any) string { return r.(*wrapperspb.StringValue).GetValue() }},
		"API v1": {new(oldMessage), nil,
			func(r any) string { return r.(*oldMessage).Value }},
		"a wrapper of another codec": {wrapped{new(oldMessage)}, []grpc.CallOption{grpc.ForceCodec(valueCodec{})},
			func(r any) string { return r.(wrapped).Value }},
		"dynamic": {dynamic, nil,
			func(r any) string { return r.(*dynamicpb.Message).Get(field).String() }},
		"a struct of another codec": {new(value), []grpc.CallOption{grpc.ForceCodec(valueCodec{})},
			func(r any) string { return r.(*value).Value }},
		"a map of another codec": {map[string]string{}, []grpc.CallOption{grpc.ForceCodec(valueCodec{})},
			func(r any) string { return r.(map[string]string)["Value"] }},
	} {
		for kind, hedge := range map[string]failover.Hedge{"": {}, ", hedged": {After: time.Millisecond, Share: 1}} {
			t.Run(name+kind, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 3)
					c[0].other = func(stream grpc.ServerStream) error {
						say(stream, "left over")
						return takes(time.Minute, codes.Unavailable)(stream.Context())
					}
					c[1].other = func(stream grpc.ServerStream) error {
						say(stream, "left over")
						return takes(time.Second, codes.Unavailable)(stream.Context())
					}
					c[2].other = says("well")
					conn := c.connect(t, failover.Policy{Hedge: hedge, Retryable: []codes.Code{codes.Unavailable, codes.Internal}})
					if err := conn.Invoke(t.Context(), workMethod, wrapperspb.String("go"), reply.reply, reply.opts...); err != nil {
						t.Fatal(err)
					}
					if got := reply.value(reply.reply); got != "well" {
						t.Errorf("got %q, want well", got)
					}
				})
			})
		}
	}
}

// value is a reply of valueCodec.
type value struct{ Value string }

// valueCodec encodes as protobuf does, and decodes a StringValue into a value or a map.
type valueCodec struct{}

func (valueCodec) Marshal(v any) ([]byte, error) { return proto.Marshal(v.(proto.Message)) }
func (valueCodec) Unmarshal(data []byte, v any) error {
	var m wrapperspb.StringValue
	if err := proto.Unmarshal(data, &m); err != nil {
		return err
	}
	switch v := v.(type) {
	case map[string]string:
		v["Value"] = m.GetValue()
	case wrapped:
		v.Value = m.GetValue()
	case *value:
		v.Value = m.GetValue()
	default:
		return fmt.Errorf("no value: %T", v)
	}
	return nil
}
func (valueCodec) Name() string { return "proto" }

// A panic within a hedge, as in a codec of the user's, is passed on to the caller's goroutine,
// which can recover.
func TestHedgePanicReachesCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other = func(stream grpc.ServerStream) error { return takes(time.Minute, codes.OK)(stream.Context()) }
		c[1].other = says("well")
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: time.Second, Share: 1}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		defer func() {
			if p := recover(); p != "no such thing" {
				t.Errorf("recovered %v, want the codec's panic", p)
			}
			for _, r := range conn.Statistics().Replicas {
				if r.InFlight != 0 {
					t.Errorf("%s has %d attempts in flight, want none", r.Replica, r.InFlight)
				}
			}
		}()
		conn.Invoke(ctx, workMethod, wrapperspb.String("go"), new(wrapperspb.StringValue), grpc.ForceCodec(panickingCodec{valueCodec{}}))
		t.Error("no panic")
	})
}

type panickingCodec struct{ valueCodec }

func (panickingCodec) Unmarshal([]byte, any) error { panic("no such thing") }
