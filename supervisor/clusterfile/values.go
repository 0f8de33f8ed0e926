package clusterfile

import (
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/parse"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// Types of flags and of values in the cluster file. Their errors name the value and what is
// allowed.
type (
	verbatim    string // any text, unchanged: in the file, 0755 and 1_000 are not numbers
	filePath    string // in the file, relative to its directory
	authorities string // path of a file, or system
	boolean     bool
	count       int
	exits       int
	port        int
	nice        int
	megabytes   int
	factor      float64
	share       float64
	duration    time.Duration
	host        string // an IP address
	addr        string // HOST:PORT
	endpoint    string // HOST:PORT, unix:///PATH or none
	mode        restart.Mode
	then        restart.Escalation
	kind        spec.ProbeKind
	signalName  syscall.Signal
	stopTarget  spec.StopTarget
	overflow    spec.Overflow
	fileMode    fs.FileMode
	rlimit      spec.Rlimit
)

func (w *verbatim) UnmarshalText(text []byte) error {
	*w = verbatim(text)
	return nil
}

func (p *filePath) UnmarshalText(text []byte) error {
	*p = filePath(text)
	return nil
}

func (a *authorities) UnmarshalText(text []byte) error {
	*a = authorities(text)
	return nil
}

func (c *count) UnmarshalText(text []byte) error     { return whole(c, text, 1, spec.MaxCount) }
func (e *exits) UnmarshalText(text []byte) error     { return whole(e, text, 1, restart.MaxExits) }
func (p *port) UnmarshalText(text []byte) error      { return whole(p, text, 1, parse.MaxPort) }
func (m *megabytes) UnmarshalText(text []byte) error { return whole(m, text, 2, 10_000) } // a line can have 1 MiB
func (f *factor) UnmarshalText(text []byte) error {
	return real(f, text, 1, restart.MaxFactor)
}
func (s *share) UnmarshalText(text []byte) error { return real(s, text, 0, 1) }

// whole, real and oneOf set a value as parsed by package parse.
func whole[T ~int](to *T, text []byte, least, most int) error {
	n, err := parse.Whole(string(text), least, most)
	*to = T(n)
	return err
}

func real[T ~float64](to *T, text []byte, least, most float64) error {
	x, err := parse.Number(string(text), least, most)
	*to = T(x)
	return err
}

func oneOf[T ~int, V interface {
	~int
	fmt.Stringer
}](to *T, text []byte, values ...V) error {
	v, err := parse.OneOf(string(text), values...)
	*to = T(v)
	return err
}

func (d *duration) UnmarshalText(text []byte) (err error) {
	*(*time.Duration)(d), err = parse.Duration(string(text))
	return err
}

func (b *boolean) UnmarshalText(text []byte) (err error) {
	*(*bool)(b), err = parse.Bool(string(text))
	return err
}

func (m *mode) UnmarshalText(text []byte) error {
	return oneOf(m, text, restart.ModeAlways, restart.ModeOnFailure, restart.ModeNever)
}

func (t *then) UnmarshalText(text []byte) error {
	return oneOf(t, text, restart.EscalationIsolate, restart.EscalationStopAll, restart.EscalationRestartAll)
}

func (o *overflow) UnmarshalText(text []byte) error {
	return oneOf(o, text, spec.OverflowBlock, spec.OverflowDrop)
}

func (m *fileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 || v&0o200 == 0 {
		return fmt.Errorf("%q: want permissions in octal that let the owner write, such as 0640", text)
	}
	*m = fileMode(v)
	return nil
}

func (k *kind) UnmarshalText(text []byte) error {
	return oneOf(k, text, spec.ProbeTCP, spec.ProbeHTTP, spec.ProbeGRPC, spec.ProbeNotify, spec.ProbeNone)
}

// UnmarshalText accepts the name of a signal with or without SIG, in any case.
func (s *signalName) UnmarshalText(text []byte) error {
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(string(text)), "SIG")
	n := unix.SignalNum(name)
	if n == 0 {
		return fmt.Errorf("%q: want the name of a signal, such as TERM, INT or QUIT", text)
	}
	*s = signalName(n)
	return nil
}

func (t *stopTarget) UnmarshalText(text []byte) error {
	return oneOf(t, text, spec.StopGroup, spec.StopLeader)
}

func (h *host) UnmarshalText(text []byte) error {
	if net.ParseIP(string(text)) == nil {
		return fmt.Errorf("%q: want an IP address, such as 127.0.0.1", text)
	}
	*h = host(text)
	return nil
}

func (a *addr) UnmarshalText(text []byte) (err error) {
	*(*string)(a), err = parse.HostPort(string(text), 1)
	return err
}

// off is the endpoint that switches the control service off.
const off endpoint = "none"

func (e *endpoint) UnmarshalText(text []byte) error {
	if endpoint(text) != off && !strings.HasPrefix(string(text), "unix:///") && new(addr).UnmarshalText(text) != nil {
		return fmt.Errorf("%q: want HOST:PORT, with a port of 1 to %d, unix:///PATH, or none", text, parse.MaxPort)
	}
	*e = endpoint(text)
	return nil
}

// local reports whether only users of this machine can reach the endpoint.
func (e endpoint) local() bool {
	return strings.HasPrefix(string(e), "unix://") || addr(e).local()
}

func (a addr) local() bool {
	name, _, _ := net.SplitHostPort(string(a))
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func (n *nice) UnmarshalText(text []byte) error {
	v, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%q: want a whole number", text)
	}
	*n = nice(v)
	return process.CheckLimits(spec.Limits{Nice: v})
}

// UnmarshalText accepts NUMBER and SOFT:HARD, with unlimited in place of any number.
func (r *rlimit) UnmarshalText(text []byte) error {
	soft, hard, two := strings.Cut(string(text), ":")
	if !two {
		hard = soft
	}
	var err [2]error
	r.Soft, err[0] = parseLimit(soft)
	r.Hard, err[1] = parseLimit(hard)
	if err[0] != nil || err[1] != nil {
		return fmt.Errorf("%q: want a number or unlimited, or SOFT:HARD", text)
	}
	return nil
}

func parseLimit(text string) (uint64, error) {
	if text == "unlimited" {
		return spec.Unlimited, nil
	}
	return strconv.ParseUint(text, 10, 63)
}

// UnmarshalText accepts the kind of a probe by itself.
func (p *probe) UnmarshalText(text []byte) error {
	p.Kind = new(kind)
	return p.Kind.UnmarshalText(text)
}

// span returns the duration, or zero if it was not given.
func (d *duration) span() time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// deref returns the value that was given, or zero.
func deref[T any](given *T) T {
	if given == nil {
		return *new(T)
	}
	return *given
}
