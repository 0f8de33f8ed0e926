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
	"example.com/crashlab/supervisor/parse"
	"example.com/crashlab/supervisor/transport"
	"example.com/crashlab/supervisor/version"
)

// flags are the command line of counterd. The help texts are their documentation.
type flags struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Addr        string `type:"hostport" default:"127.0.0.1:7101" help:"Address to listen on, HOST:PORT. Other machines can reach it only with TLS, or with --insecure."`
	Replica     string `type:"name" default:"a" help:"Name of this replica."`
	Incarnation uint64 `type:"incarnation" default:"1" env:"CRASHLAB_INCARNATION,INCARNATION" help:"Which launch of the replica this is, from 1."`

	transport.Server `group:"TLS"`
	Insecure         bool `group:"TLS" help:"Let other machines connect without TLS."`

	PCrash           float64            `group:"Faults" default:"0" help:"Probability, 0 to 1, that a request crashes the process."`
	CrashPoint       fault.CrashPoint   `group:"Faults" default:"arrival" help:"Where a crash strikes: arrival (before the work) or reply (work done, reply never sent)."`
	Hang             bool               `group:"Faults" help:"Accept requests and never answer them."`
	ErrorProbability float64            `group:"Faults" default:"0" help:"Probability, 0 to 1, that a request is answered with the error code."`
	ErrorCode        codes.Code         `group:"Faults" default:"UNAVAILABLE" help:"gRPC status code of such an answer."`
	ServiceTime      fault.Distribution `group:"Faults" default:"0" help:"How long the work of a request takes: 0, 50ms, uniform:50ms:500ms, exp:100ms or values:12ms:15ms:80ms."`
	Capacity         int                `group:"Faults" default:"0" help:"How many requests are worked on at a time, first come first served; the others queue. 0 is any number."`
	FaultListen      string             `type:"faultlisten" group:"Faults" placeholder:"HOST:PORT|none" help:"Serve fault.v1.Fault, which changes the faults, at another address, or not at all; without, at --addr."`
	Seed             uint64             `group:"Faults" default:"0" help:"Seed that decides which requests the faults hit; 0 draws one, and the log shows it."`

	DrainTimeout time.Duration `default:"4s" help:"How long calls in flight may take to end after SIGTERM or SIGINT, before they are cut off. Keep it below the supervisor's stop timeout."`
	LogJSON      bool          `help:"Log lines of JSON."`
	LogLevel     hclog.Level   `default:"info" help:"Least level to log: trace, debug, info, warn, error or off."`
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

// parseFlags returns the flags with a seed in place of 0, or an error of one line that names the
// flag or the environment variable, its value and what is allowed.
func parseFlags(args []string) (flags, error) {
	var f flags
	var bad badValue
	parser, err := kong.New(&f,
		kong.Name("counterd"),
		kong.Description("Serves one replica of the Counter service, and lets it fail on purpose."),
		kong.Vars{"version": version.Of("counterd")},
		kong.WithHyphenPrefixedParameters(true), // "--p-crash -1" is a bad probability, not a missing value
		kong.NamedMapper("hostport", mapper(&bad, parseHostPort)),
		kong.NamedMapper("faultlisten", mapper(&bad, parseFaultListen)),
		kong.TypeMapper(reflect.TypeFor[transport.Path](), mapper(&bad, parseText[transport.Path])),
		kong.NamedMapper("name", mapper(&bad, parseName)),
		kong.NamedMapper("incarnation", mapper(&bad, parseIncarnation)),
		kong.TypeMapper(reflect.TypeFor[uint64](), mapper(&bad, parse.Uint64)),
		kong.TypeMapper(reflect.TypeFor[int](), mapper(&bad, parseCapacity)),
		kong.TypeMapper(reflect.TypeFor[float64](), mapper(&bad, fault.ParseProbability)),
		kong.TypeMapper(reflect.TypeFor[fault.CrashPoint](), mapper(&bad, parseText[fault.CrashPoint])),
		kong.TypeMapper(reflect.TypeFor[fault.Distribution](), mapper(&bad, parseText[fault.Distribution])),
		kong.TypeMapper(reflect.TypeFor[codes.Code](), mapper(&bad, fault.ParseCode)),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), mapper(&bad, parse.Duration)),
		kong.TypeMapper(reflect.TypeFor[hclog.Level](), mapper(&bad, parseLevel)),
	)
	if err != nil {
		return flags{}, err
	}
	if _, err := parser.Parse(args); err != nil {
		if bad.err != nil {
			return flags{}, bad.err
		}
		return flags{}, fmt.Errorf("%w; see counterd --help", err)
	}
	if f.Seed == 0 {
		// Up to 53 bits, so that no JSON reader rounds the seed in the log.
		f.Seed = 1 + rand.Uint64N(1<<53-1)
	}
	return f, nil
}

// badValue is the first value that a mapper refused. Kong's own error has it too, but words it
// differently, and not as an error that can be unwrapped when it comes from the environment.
type badValue struct{ err error }

// mapper makes a kong mapper of a parse function whose errors begin with the value.
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

// faultsOff as --fault-listen means that the Fault service is not served.
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
