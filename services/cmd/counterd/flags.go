package main

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"

	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/commandline"
	"example.com/crashlab/supervisor/parse"
	"example.com/crashlab/supervisor/transport"
)

// flags are the command line of counterd. The help texts are their documentation.
type flags struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Addr         string        `group:"Replica" type:"hostport" default:"127.0.0.1:7101" placeholder:"HOST:PORT" help:"Address to listen on. An address that other machines can reach requires TLS or --insecure. (default: ${default})"`
	Replica      string        `group:"Replica" type:"name" default:"a" placeholder:"NAME" help:"Name of this replica. (default: ${default})"`
	Incarnation  uint64        `group:"Replica" type:"incarnation" default:"1" placeholder:"N" env:"CRASHLAB_INCARNATION,INCARNATION" help:"Number of this launch of the replica, from 1. (default: ${default})"`
	DrainTimeout time.Duration `group:"Replica" default:"4s" placeholder:"DURATION" help:"How long calls in flight may take to end after SIGTERM or SIGINT. It should be shorter than the supervisor's stop timeout. (default: ${default})"`

	PCrash           float64            `group:"Faults" default:"0" placeholder:"P" help:"Probability, 0 to 1, that a request crashes the process. (default: ${default})"`
	CrashPoint       fault.CrashPoint   `group:"Faults" default:"arrival" placeholder:"arrival|reply" help:"Where a crash strikes: arrival, before the work, or reply, after it, so that the reply is never sent. (default: ${default})"`
	Hang             bool               `group:"Faults" help:"Accept requests and never answer them."`
	ErrorProbability float64            `group:"Faults" default:"0" placeholder:"P" help:"Probability, 0 to 1, that a request fails with --error-code. (default: ${default})"`
	ErrorCode        codes.Code         `group:"Faults" default:"UNAVAILABLE" placeholder:"CODE" help:"gRPC status code of such a failure. (default: ${default})"`
	ServiceTime      fault.Distribution `group:"Faults" default:"0" placeholder:"TIME" help:"How long the work of a request takes: 0, 50ms, uniform:50ms:500ms, exp:100ms or values:12ms:15ms:80ms. (default: ${default})"`
	Capacity         int                `group:"Faults" default:"0" placeholder:"N" help:"Requests worked on at a time, first come first served; the others queue. 0 is unlimited. (default: ${default})"`
	Seed             uint64             `group:"Faults" default:"0" placeholder:"N" help:"Seed that decides which requests the faults hit; with 0, a random seed, which is logged. (default: ${default})"`
	FaultListen      string             `type:"faultlisten" group:"Faults" placeholder:"HOST:PORT|none" help:"Address of the service that changes the faults at run time, fault.v1.Fault; none to not serve it. (default: --addr)"`

	transport.Server `group:"TLS"`
	Insecure         bool `group:"TLS" help:"Let other machines connect without TLS."`

	LogJSON  bool        `group:"Log" help:"Log in JSON."`
	LogLevel hclog.Level `group:"Log" default:"info" placeholder:"LEVEL" help:"Lowest level to log: trace, debug, info, warn, error or off. (default: ${default})"`
}

// Help shows examples.
func (flags) Help() string {
	return `Examples:

    # one in ten requests crashes it; each takes 50 to 500 ms
    counterd --p-crash 0.1 --service-time uniform:50ms:500ms
    # a second replica, which hangs until "crashlab fault set --no-hang"
    counterd --addr 127.0.0.1:7102 --replica b --hang
    # three replicas that are relaunched after a crash
    supervisor -- counterd --addr {addr} --replica {name} --p-crash 0.1`
}

var program = commandline.Program{
	Name:        "counterd",
	Description: "Serves one replica of the Counter service and injects faults into it.",
	ExitCodes: []commandline.ExitCode{
		{Code: 0, Meaning: "stopped by SIGTERM or SIGINT"},
		{Code: exitFailed, Meaning: "failed to serve, or crashed on purpose"},
		{Code: exitUsage, Meaning: "invalid flag, argument or file"},
	},
}

func (f flags) faults() fault.Faults {
	return fault.Faults{
		CrashProbability: f.PCrash,
		CrashPoint:       f.CrashPoint,
		Hang:             f.Hang,
		ErrorProbability: f.ErrorProbability,
		ErrorCode:        f.ErrorCode,
		Capacity:         f.Capacity,
		ServiceTime:      f.ServiceTime,
	}
}

// parseFlags returns the flags, with a random seed if that is 0. The error is one line that names
// the flag or the environment variable, its value and what is allowed.
func parseFlags(args []string) (flags, error) {
	var f flags
	var bad badValue
	_, err := program.Parse(&f, args, os.Stdout, os.Stderr, options(&bad)...)
	switch {
	case bad.err != nil:
		return flags{}, bad.err
	case err != nil:
		return flags{}, err
	}
	if f.Seed == 0 {
		// Up to 53 bits, so that no JSON reader rounds the seed in the log.
		f.Seed = 1 + rand.Uint64N(1<<53-1)
	}
	return f, nil
}

// options returns the mappers of the flags' types.
func options(bad *badValue) []kong.Option {
	return []kong.Option{
		kong.NamedMapper("hostport", mapper(bad, parseHostPort)),
		kong.NamedMapper("faultlisten", mapper(bad, parseFaultListen)),
		kong.TypeMapper(reflect.TypeFor[transport.Path](), mapper(bad, parseText[transport.Path])),
		kong.NamedMapper("name", mapper(bad, parseName)),
		kong.NamedMapper("incarnation", mapper(bad, parseIncarnation)),
		kong.TypeMapper(reflect.TypeFor[uint64](), mapper(bad, parse.Uint64)),
		kong.TypeMapper(reflect.TypeFor[int](), mapper(bad, parseCapacity)),
		kong.TypeMapper(reflect.TypeFor[float64](), mapper(bad, fault.ParseProbability)),
		kong.TypeMapper(reflect.TypeFor[fault.CrashPoint](), mapper(bad, parseText[fault.CrashPoint])),
		kong.TypeMapper(reflect.TypeFor[fault.Distribution](), mapper(bad, parseText[fault.Distribution])),
		kong.TypeMapper(reflect.TypeFor[codes.Code](), mapper(bad, fault.ParseCode)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(bad, parse.Duration)),
		kong.TypeMapper(reflect.TypeFor[hclog.Level](), mapper(bad, parseLevel)),
	}
}

// badValue holds the error for a value that a mapper refused. Kong's error contains it in other
// words, and for a value from the environment does not wrap it.
type badValue struct{ err error }

// mapper returns a mapper for kong from a parse function whose errors begin with the value.
func mapper[T any](bad *badValue, parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		source := "--" + ctx.Value.Name
		text, ok := ctx.Scan.Pop().Value.(string)
		if !ok {
			return errors.New("want a value")
		}
		for _, env := range ctx.Value.Tag.Envs {
			if value, ok := os.LookupEnv(env); ok && value == text {
				source = env
				break
			}
		}
		value, err := parse(text)
		if err != nil {
			bad.err = fmt.Errorf("%s %w", source, err)
			return bad.err
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}
}

func parseText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](text string) (T, error) {
	var value T
	err := P(&value).UnmarshalText([]byte(text))
	return value, err
}

func parseHostPort(text string) (string, error) { return parse.HostPort(text, 0) }

// faultsOff as the value of --fault-listen disables the Fault service.
const faultsOff = "none"

func parseFaultListen(text string) (string, error) {
	if text == faultsOff {
		return text, nil
	}
	if _, err := parse.HostPort(text, 0); err != nil {
		return "", fmt.Errorf("%w, or none", err)
	}
	return text, nil
}

func parseName(text string) (string, error) {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		return "", fmt.Errorf("%q: want a name without spaces, such as a", text)
	}
	return text, nil
}

func parseIncarnation(text string) (uint64, error) {
	n, err := parse.Uint64(text)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q: want a whole number from 1", text)
	}
	return n, nil
}

func parseCapacity(text string) (int, error) { return parse.Whole(text, 0, math.MaxInt) }

func parseLevel(text string) (hclog.Level, error) {
	name, err := parse.LogLevel(text)
	return hclog.LevelFromString(name), err
}
