package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "google.golang.org/grpc/health/grpc_health_v1"

	_ "example.com/crashlab/gen/counter/v1"
	_ "example.com/crashlab/gen/fault/v1"
	_ "example.com/crashlab/gen/supervisor/v1"
)

var methodName = regexp.MustCompile(`^([a-z][\w.]*\.[A-Z]\w*)/(\w+)$`)

// checkGrpcurl checks that the method of a call exists, and that its request fits.
func checkGrpcurl(args []string) error {
	for _, arg := range args {
		m := methodName.FindStringSubmatch(arg)
		if m == nil {
			continue
		}
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(m[1]))
		service, ok := found.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			return fmt.Errorf("grpcurl: there is no service %s", m[1])
		}
		method := service.Methods().ByName(protoreflect.Name(m[2]))
		if method == nil {
			return fmt.Errorf("grpcurl: %s has no method %s", m[1], m[2])
		}
		if i := slices.Index(args, "-d"); i >= 0 && i+1 < len(args) && !strings.ContainsAny(args[i+1], "$@") {
			if err := protojson.Unmarshal([]byte(args[i+1]), dynamicpb.NewMessage(method.Input())); err != nil {
				return fmt.Errorf("grpcurl -d %s: %v", args[i+1], err)
			}
		}
	}
	return nil
}
