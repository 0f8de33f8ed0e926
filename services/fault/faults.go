// Package fault injects faults into a gRPC server: crashes, hangs, errors and service times.
//
// Use it to test how clients and supervisors cope with a service that fails. An [Injector] injects
// the faults through an interceptor, a [Service] reads and changes them at run time, and a [Plan]
// determines in advance which requests they hit.
package fault

import (
	"fmt"
	"strconv"
	"strings"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
)

// Faults are the faults of one replica. The zero value injects none.
type Faults struct {
	// CrashProbability is the probability, 0 to 1, that a request crashes the process.
	CrashProbability float64
	// CrashPoint is where the crash strikes.
	CrashPoint CrashPoint
	// Hang makes requests hang: they are accepted, but not answered until their context ends or
	// Hang is false again.
	Hang bool
	// ErrorProbability is the probability, 0 to 1, that a request fails with ErrorCode before any
	// work is done.
	ErrorProbability float64
	// ErrorCode is the status code of such a failure; zero means UNAVAILABLE.
	ErrorCode codes.Code
	// Capacity is the number of requests that are worked on at a time; the others queue. Zero means
	// no limit. The capacity of an Injector is that of its initial faults and never changes.
	Capacity int
	// ServiceTime is how long the work of a request takes.
	ServiceTime Distribution
}

// Validate returns an error that names the first value that is out of range and what is allowed, or
// nil.
func (f Faults) Validate() error {
	if err := checkProbability(f.CrashProbability); err != nil {
		return fmt.Errorf("crash_probability %w", err)
	}
	if f.CrashPoint > CrashPointReply {
		return fmt.Errorf("crash_point %d: want arrival or reply", f.CrashPoint)
	}
	if err := checkProbability(f.ErrorProbability); err != nil {
		return fmt.Errorf("error_probability %w", err)
	}
	if f.ErrorCode > codes.Unauthenticated {
		return fmt.Errorf("error_code %d: want 1 to %d", f.ErrorCode, codes.Unauthenticated)
	}
	if f.Capacity < 0 {
		return fmt.Errorf("capacity %d: want 0 or more", f.Capacity)
	}
	return nil
}

// String lists the faults that are set, in the order in which they affect a request, or returns
// "none".
func (f Faults) String() string {
	var parts []string
	if f.CrashProbability > 0 {
		parts = append(parts, fmt.Sprintf("crash %v at %v", f.CrashProbability, f.CrashPoint))
	}
	if f.Hang {
		parts = append(parts, "hang")
	}
	if f.ErrorProbability > 0 {
		parts = append(parts, fmt.Sprintf("%s %v", codeName(f.errorCode()), f.ErrorProbability))
	}
	if f.Capacity > 0 {
		parts = append(parts, fmt.Sprintf("capacity %d", f.Capacity))
	}
	if !f.ServiceTime.isZero() {
		parts = append(parts, fmt.Sprintf("service time %v", f.ServiceTime))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (f Faults) errorCode() codes.Code {
	if f.ErrorCode == codes.OK {
		return codes.Unavailable
	}
	return f.ErrorCode
}

// CrashPoint is where a simulated crash strikes.
type CrashPoint uint8

const (
	// CrashPointArrival is before the work: repeating the request does not repeat the work.
	CrashPointArrival CrashPoint = iota
	// CrashPointReply is after the work: it is done, but the reply is never sent.
	CrashPointReply
)

// String returns "arrival" or "reply".
func (p CrashPoint) String() string {
	switch p {
	case CrashPointArrival:
		return "arrival"
	case CrashPointReply:
		return "reply"
	}
	return fmt.Sprintf("CrashPoint(%d)", uint8(p))
}

// UnmarshalText parses "arrival" or "reply". Any other text is an error, which leaves p unchanged.
func (p *CrashPoint) UnmarshalText(text []byte) error {
	switch string(text) {
	case "arrival":
		*p = CrashPointArrival
	case "reply":
		*p = CrashPointReply
	default:
		return fmt.Errorf("%q: want arrival or reply", text)
	}
	return nil
}

// ParseProbability parses a number from 0 to 1, such as "0.3". Any other text is an error.
func ParseProbability(text string) (float64, error) {
	p, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: want 0 to 1", text)
	}
	return p, checkProbability(p)
}

func checkProbability(p float64) error {
	// The condition p < 0 || p > 1 would accept NaN.
	if p >= 0 && p <= 1 {
		return nil
	}
	return fmt.Errorf("%v: want 0 to 1", p)
}

// ParseCode parses the name of a gRPC status code, such as "UNAVAILABLE". OK and any other text are
// errors.
func ParseCode(text string) (codes.Code, error) {
	code := codes.Code(rpccode.Code_value[text])
	if code == codes.OK {
		return codes.OK, fmt.Errorf("%q: want the name of a gRPC status other than OK, such as UNAVAILABLE", text)
	}
	return code, nil
}

// codeName returns the name that gRPC's documents and ParseCode use, unlike codes.Code.String.
func codeName(code codes.Code) string { return rpccode.Code(code).String() }
