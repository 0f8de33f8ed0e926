package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/cluster"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/transport"
)

// faultTimeout bounds each request. Requests to the Fault service are never hit by a fault.
const faultTimeout = 5 * time.Second

type faultCmd struct {
	Get faultGetCmd `cmd:"" help:"Show the faults of running replicas."`
	Set faultSetCmd `cmd:"" help:"Change the given faults of running replicas and leave the others."`
}

// Help shows examples.
func (faultCmd) Help() string {
	return `Examples:

    crashlab fault get
    crashlab fault set --p-crash 0.3 --crash-point reply`
}

// faultyReplicas holds the flags that both commands have.
type faultyReplicas struct {
	Replicas         []string `arg:"" optional:"" placeholder:"HOST:PORT" help:"Addresses of the replicas' Fault service. (default: 127.0.0.1, ports 7101 to 7103)"`
	transport.Client `group:"TLS"`
}

type faultGetCmd struct{ faultyReplicas }

// Help shows examples.
func (faultGetCmd) Help() string {
	return `Examples:

    crashlab fault get
    crashlab fault get 127.0.0.1:7101`
}

type faultSetCmd struct {
	PCrash           *share              `group:"Faults" placeholder:"P" help:"Probability, 0 to 1, that a request crashes the process."`
	CrashPoint       *fault.CrashPoint   `group:"Faults" placeholder:"arrival|reply" help:"Where a crash strikes: arrival, before the work, or reply, after it, so that the reply is never sent."`
	ServiceTime      *fault.Distribution `group:"Faults" placeholder:"TIME" help:"How long the work of a request takes: 0, 50ms, uniform:50ms:500ms or exp:100ms."`
	Hang             *bool               `group:"Faults" negatable:"" help:"Accept requests and never answer them."`
	ErrorProbability *share              `group:"Faults" placeholder:"P" help:"Probability, 0 to 1, that a request fails with --error-code."`
	ErrorCode        *string             `group:"Faults" placeholder:"CODE" help:"gRPC status code of such a failure, such as UNAVAILABLE."`
	faultyReplicas
}

// Help shows examples.
func (faultSetCmd) Help() string {
	return `A relaunched replica starts with the faults of its command line again.

Examples:

    # requests to all three replicas take 50 to 500 ms and crash none
    crashlab fault set --p-crash 0 --service-time uniform:50ms:500ms
    # one replica hangs; --no-hang ends that
    crashlab fault set 127.0.0.1:7101 --hang`
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
		return &exit{exitUsage, "no fault given: want at least one, such as --p-crash 0.3; see crashlab fault set --help"}
	}
	return f.each(ctx, out, func(ctx context.Context, c faultv1.FaultClient) (*faultv1.Faults, error) {
		reply, err := c.Set(ctx, request)
		return reply.GetFaults(), err
	})
}

// request returns the request, and whether it names any fault.
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

// each makes a request to each replica and prints the faults that it returns. A replica that does
// not answer does not keep it from the others.
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
	unavailable := 0
	var cause error // of the first that was unavailable
	for _, addr := range replicas {
		var faults *faultv1.Faults
		err := cluster.CallFaults(ctx, addr, faultTimeout, func(ctx context.Context, c faultv1.FaultClient) (err error) {
			faults, err = do(ctx, c)
			return err
		}, grpc.WithTransportCredentials(creds))
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %s", addr, transport.Plain(message(err))))
			if status.Code(err) == codes.Unavailable {
				unavailable++
				cause = cmp.Or(cause, err)
			}
			continue
		}
		if err := printLines(out.stdout, fmt.Sprintf("%s: %s\n", addr, spellFaults(faults)), "  "); err != nil {
			return err
		}
	}
	if unavailable == len(replicas) {
		return errors.New(noReplica(replicas, cause))
	}
	if failed != nil {
		return errors.New(strings.Join(failed, "\ncrashlab: "))
	}
	return nil
}

// spellFaults returns the faults as the flags that set them, or "none".
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
