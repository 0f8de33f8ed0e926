package integration

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	faultv1 "example.com/crashlab/gen/fault/v1"
)

// Each request to the Counter crashes the replica, but requests to the other services do not.
func TestReflectionAndHealthAreSpared(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart=never"}, "--p-crash=1")
	conn := c.dial(0)
	reply := reflect(t, conn, &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	})
	var services []string
	for _, s := range reply.GetListServicesResponse().GetService() {
		services = append(services, s.GetName())
	}
	for _, want := range []string{"counter.v1.Counter", "fault.v1.Fault", "grpc.health.v1.Health"} {
		if !slices.Contains(services, want) {
			t.Errorf("reflection lists %v, not %s", services, want)
		}
	}
	health := healthv1.NewHealthClient(conn)
	for _, service := range []string{"", "counter.v1.Counter"} {
		reply, err := health.Check(patiently(t), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || reply.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q is %v, %v", service, reply.GetStatus(), err)
		}
	}
	if exits := c.events(func(e event) bool { return e.Message == "exited" }); len(exits) > 0 {
		t.Errorf("replicas have crashed: %+v", exits)
	}

	faults, err := faultv1.NewFaultClient(conn).Get(patiently(t), new(faultv1.GetRequest))
	if err != nil || faults.GetFaults().GetCrashProbability() != 1 {
		t.Errorf("faults %v, %v; want those of the command line", faults, err)
	}
	if _, err := getByReflection(t, conn); err == nil {
		t.Error("Get has succeeded")
	}
	if e := c.awaitEvent("exited", 0, 1); e.exit() != "code 1" {
		t.Errorf("the Get ended the replica with %s, want code 1", e.exit())
	}
}

// A client without the proto files calls the Counter, as grpcurl does.
func TestGetByReflection(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	reply, err := getByReflection(t, c.dial(1))
	if err != nil {
		t.Fatal(err)
	}
	get := func(name protoreflect.Name) protoreflect.Value {
		return reply.Get(reply.Descriptor().Fields().ByName(name))
	}
	if get("value").Uint() != 1 || get("replica").String() != "b" || get("incarnation").Uint() != 1 {
		t.Errorf("reply %v, want value 1, replica b, incarnation 1", reply)
	}
}

// getByReflection calls Get with the descriptors that the server returns.
func getByReflection(t *testing.T, conn *grpc.ClientConn) (*dynamicpb.Message, error) {
	t.Helper()
	answer := reflect(t, conn, &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "counter.v1.Counter"},
	})
	files := answer.GetFileDescriptorResponse().GetFileDescriptorProto()
	if len(files) != 1 {
		t.Fatalf("reflection answers %v, want the one file of the Counter", answer)
	}
	var file descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(files[0], &file); err != nil {
		t.Fatal(err)
	}
	desc, err := protodesc.NewFile(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	method := desc.Services().ByName("Counter").Methods().ByName("Get")
	reply := dynamicpb.NewMessage(method.Output())
	err = conn.Invoke(patiently(t), "/counter.v1.Counter/Get", dynamicpb.NewMessage(method.Input()), reply)
	return reply, err
}

// reflect sends a request to the server's reflection service.
func reflect(t *testing.T, conn *grpc.ClientConn, req *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
	t.Helper()
	ctx, cancel := context.WithCancel(patiently(t))
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	reply, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return reply
}
