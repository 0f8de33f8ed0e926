package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	"example.com/crashlab/client/cluster"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/transport"
)

// faultTimeout bounds each request: a replica that crashes on purpose spares those about its
// faults.
const faultTimeout = 5 * time.Second

type faultCmd struct {
	Get faultGetCmd `cmd:"" help:"Show the faults that are in force."`
	Set faultSetCmd `cmd:"" help:"Change the faults that are named, and leave the others. A relaunched replica starts again with those of its command line."`
}

// faultyReplicas are the flags of both.
type faultyReplicas struct {
	Replicas []string `arg:"" optional:"" placeholder:"HOST:PORT" help:"Where the replicas serve fault.v1.Fault. (default: 127.0.0.1, ports 7101 to 7103)"`
	transport.Client
}

type faultGetCmd struct{ faultyReplicas }

type faultSetCmd struct {
	faultyReplicas
	PCrash           *share              `placeholder:"P" help:"Probability, 0 to 1, that a request crashes the process."`
	CrashPoint       *fault.CrashPoint   `placeholder:"arrival|reply" help:"Where a crash strikes: before the work, or when it is done and before the reply is sent."`
	ServiceTime      *fault.Distribution `placeholder:"TIME" help:"How long the work of a request takes: 0, 50ms, uniform:50ms:500ms or exp:100ms."`
	Hang             *bool               `negatable:"" help:"Accept requests and never answer them."`
	ErrorProbability *share              `placeholder:"P" help:"Probability, 0 to 1, that a request is answered with the error code."`
	ErrorCode        *string             `placeholder:"CODE" help:"gRPC status code of such an answer, such as UNAVAILABLE."`
}

// Run shows the faults of each replica.
func (f *faultGetCmd) Run(ctx context.Context, out output) error {
	return f.each(ctx, out, func(ctx context.Context, c faultv1.FaultClient) (*faultv1.Faults, error) {
		reply, err := c.Get(ctx, new(faultv1.GetRequest))
		return reply.GetFaults(), err
	})
}

// Run changes the faults of each replica, and shows them.
func (f *faultSetCmd) Run(ctx context.Context, out output) error {
	request, named := f.request()
	if !named {
		return &exit{exitUsage, "nothing to set: want one of the faults, such as --p-crash 0.3; see crashlab fault set --help"}
	}
	return f.each(ctx, out, func(ctx context.Context, c faultv1.FaultClient) (*faultv1.Faults, error) {
		reply, err := c.Set(ctx, request)
		return reply.GetFaults(), err
	})
}

// request returns the request, and whether it changes anything.
func (f *faultSetCmd) request() (r *faultv1.SetRequest, named bool) {
	r = &faultv1.SetRequest{
		CrashProbability: (*float64)(f.PCrash), Hang: f.Hang, ErrorProbability: (*float64)(f.ErrorProbability), ErrorCode: f.ErrorCode,
	}
	if f.ServiceTime != nil {
		text := f.ServiceTime.String()
		r.ServiceTime = &text
	}
	if f.CrashPoint != nil {
		r.CrashPoint = f.CrashPoint.Message()
	}
	return r, f.PCrash != nil || f.CrashPoint != nil || f.ServiceTime != nil || f.Hang != nil || f.ErrorProbability != nil || f.ErrorCode != nil
}

// each makes a request to each replica and shows the faults that it returns. Replicas that cannot
// be reached do not keep the others from it.
func (f *faultyReplicas) each(ctx context.Context, out output, do func(context.Context, faultv1.FaultClient) (*faultv1.Faults, error)) error {
	replicas := f.Replicas
	if len(replicas) == 0 {
		replicas = []string{"127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"}
	}
	creds, err := secure(f.Client, out)
	if err != nil {
		return err
	}
	var failed []string
	for _, addr := range replicas {
		var faults *faultv1.Faults
		err := cluster.CallFaults(ctx, addr, faultTimeout, func(ctx context.Context, c faultv1.FaultClient) (err error) {
			faults, err = do(ctx, c)
			return err
		}, grpc.WithTransportCredentials(creds))
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %s", addr, transport.Plain(message(err))))
			continue
		}
		fmt.Fprintf(out.stdout, "%s: %s\n", addr, spellFaults(faults))
	}
	if failed != nil {
		return errors.New(strings.Join(failed, "\ncrashlab: "))
	}
	return nil
}

// spellFaults returns the faults as the flags that set them; "none" without any.
func spellFaults(f *faultv1.Faults) string {
	var flags []string
	if f.CrashProbability > 0 {
		flags = append(flags, fmt.Sprintf("--p-crash %v", f.CrashProbability))
		if f.CrashPoint == faultv1.CrashPoint_CRASH_POINT_REPLY {
			flags = append(flags, "--crash-point reply")
		}
	}
	if strings.TrimSuffix(f.ServiceTime, "s") != "0" {
		flags = append(flags, "--service-time "+f.ServiceTime)
	}
	if f.Hang {
		flags = append(flags, "--hang")
	}
	if f.ErrorProbability > 0 {
		flags = append(flags, fmt.Sprintf("--error-probability %v --error-code %s", f.ErrorProbability, f.ErrorCode))
	}
	if len(flags) == 0 {
		return "none"
	}
	return strings.Join(flags, " ")
}
