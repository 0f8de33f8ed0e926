package main

import (
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/supervisor"
)

const (
	maxCount = 1000 // replicas: beyond the ports and processes one machine is good for
	maxPort  = 65535
)

// Values of flags and of the cluster file. Their errors name the value and
// what is allowed.
type (
	word      string // any text; in the file as it stands: 0755 or 1_000 is no number to a program
	boolean   bool
	count     int
	exits     int
	port      int
	nice      int
	megabytes int
	factor    float64
	share     float64
	duration  time.Duration
	host      string // an IP address
	addr      string // HOST:PORT
	endpoint  string // HOST:PORT or unix:///PATH
	restart   supervisor.Restart
	then      supervisor.Escalation
	kind      supervisor.ProbeKind
	overflow  supervisor.Overflow
	fileMode  fs.FileMode
	rlimit    supervisor.Rlimit
	logLevel  string // as hclog names them
)

func (w *word) UnmarshalText(text []byte) error {
	*w = word(text)
	return nil
}

func (c *count) UnmarshalText(text []byte) error     { return parseInt(text, 1, maxCount, c) }
func (e *exits) UnmarshalText(text []byte) error     { return parseInt(text, 1, supervisor.MaxExits, e) }
func (p *port) UnmarshalText(text []byte) error      { return parseInt(text, 1, maxPort, p) }
func (m *megabytes) UnmarshalText(text []byte) error { return parseInt(text, 2, 10_000, m) } // a line can be 1 MiB
func (f *factor) UnmarshalText(text []byte) error {
	return parseFloat(text, 1, supervisor.MaxFactor, f)
}
func (s *share) UnmarshalText(text []byte) error { return parseFloat(text, 0, 1, s) }

func parseInt[T ~int](text []byte, least, most int, to *T) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < least || n > most {
		return fmt.Errorf("%q: want %d to %d", text, least, most)
	}
	*to = T(n)
	return nil
}

func parseFloat[T ~float64](text []byte, least, most float64, to *T) error {
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(x >= least && x <= most) {
		return fmt.Errorf("%q: want %v to %v", text, least, most)
	}
	*to = T(x)
	return nil
}

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q: want a duration with its unit, such as 500ms or 2s, 0s or more", text)
	}
	*d = duration(v)
	return nil
}

func (b *boolean) UnmarshalText(text []byte) error {
	if string(text) != "true" && string(text) != "false" {
		return fmt.Errorf("%q: want true or false", text)
	}
	*b = string(text) == "true"
	return nil
}

func (r *restart) UnmarshalText(text []byte) error {
	return choose(text, r, supervisor.RestartAlways, supervisor.RestartOnFailure, supervisor.RestartNever)
}

func (t *then) UnmarshalText(text []byte) error {
	return choose(text, t, supervisor.EscalationIsolate, supervisor.EscalationStopAll, supervisor.EscalationRestartAll)
}

func (k *kind) UnmarshalText(text []byte) error {
	return choose(text, k, supervisor.ProbeTCP, supervisor.ProbeGRPC, supervisor.ProbeNotify, supervisor.ProbeNone)
}

func (o *overflow) UnmarshalText(text []byte) error {
	return choose(text, o, supervisor.OverflowBlock, supervisor.OverflowDrop)
}

func (m *fileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 || v&0o200 == 0 {
		return fmt.Errorf("%q: want permissions in octal that let the owner write, such as 0640", text)
	}
	*m = fileMode(v)
	return nil
}

// choose takes the value that reads as the text does.
func choose[T ~int, V interface {
	~int
	fmt.Stringer
}](text []byte, to *T, values ...V) error {
	var allowed []string
	for _, v := range values {
		if v.String() == string(text) {
			*to = T(v)
			return nil
		}
		allowed = append(allowed, v.String())
	}
	return fmt.Errorf("%q: want %s", text, anyOf(allowed))
}

func anyOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (l *logLevel) UnmarshalText(text []byte) error {
	levels := []string{"trace", "debug", "info", "warn", "error", "off"}
	if !slices.Contains(levels, string(text)) {
		return fmt.Errorf("%q: want %s", text, anyOf(levels))
	}
	*l = logLevel(text)
	return nil
}

func (h *host) UnmarshalText(text []byte) error {
	if net.ParseIP(string(text)) == nil {
		return fmt.Errorf("%q: want an IP address, such as 127.0.0.1", text)
	}
	*h = host(text)
	return nil
}

func (a *addr) UnmarshalText(text []byte) error {
	_, number, err := net.SplitHostPort(string(text))
	if err != nil || new(port).UnmarshalText([]byte(number)) != nil {
		return fmt.Errorf("%q: want HOST:PORT, with a port of 1 to %d", text, maxPort)
	}
	*a = addr(text)
	return nil
}

func (e *endpoint) UnmarshalText(text []byte) error {
	if !strings.HasPrefix(string(text), "unix:///") && new(addr).UnmarshalText(text) != nil {
		return fmt.Errorf("%q: want HOST:PORT, with a port of 1 to %d, or unix:///PATH", text, maxPort)
	}
	*e = endpoint(text)
	return nil
}

// local reports whether nobody but this machine's users can get there.
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
	return supervisor.Limits{Nice: v}.Check()
}

// UnmarshalText takes NUMBER, SOFT:HARD, and unlimited for either.
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
		return supervisor.Unlimited, nil
	}
	return strconv.ParseUint(text, 10, 63)
}

// A probe may be given by its kind alone.
func (p *probe) UnmarshalText(text []byte) error {
	p.Kind = new(kind)
	return p.Kind.UnmarshalText(text)
}

// span is a duration that may not have been given; zero then.
func (d *duration) span() time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// deref is what was given, or zero.
func deref[T any](given *T) T {
	if given == nil {
		return *new(T)
	}
	return *given
}
