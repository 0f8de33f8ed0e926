package main

import (
	"fmt"
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

// grpcurlFlags are those that documents need, and whether a value follows.
var grpcurlFlags = map[string]bool{
	"-plaintext": false, "-unix": false, "-insecure": false, "-v": false, "-emit-defaults": false,
	"-d": true, "-cacert": true, "-cert": true, "-key": true, "-H": true, "-max-time": true, "-authority": true, "-servername": true,
}

// checkGrpcurl checks that the method of a call exists, and that its request fits.
func checkGrpcurl(args []string) error {
	var words []string
	request := "{}"
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			words = append(words, args[i])
			continue
		}
		takesValue, ok := grpcurlFlags[args[i]]
		if !ok {
			return fmt.Errorf("grpcurl: unknown flag %s; known ones are in deploy/docs/grpcurl.go", args[i])
		}
		if takesValue && i+1 < len(args) {
			i++
			if args[i-1] == "-d" {
				request = args[i]
			}
		}
	}
	if len(words) < 2 {
		return fmt.Errorf("grpcurl: want ADDRESS and SERVICE/METHOD")
	}
	switch words[1] {
	case "list", "describe":
		return nil
	}
	service, name, _ := strings.Cut(words[1], "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return fmt.Errorf("grpcurl: there is no service %s", service)
	}
	asService, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return fmt.Errorf("grpcurl: %s is no service", service)
	}
	method := asService.Methods().ByName(protoreflect.Name(name))
	if method == nil {
		return fmt.Errorf("grpcurl: %s has no method %s", service, name)
	}
	if request == "@" || strings.Contains(request, "$") {
		return nil
	}
	if err := protojson.Unmarshal([]byte(request), dynamicpb.NewMessage(method.Input())); err != nil {
		return fmt.Errorf("grpcurl -d %s: %v", request, err)
	}
	return nil
}
