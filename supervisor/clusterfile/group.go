package clusterfile

import (
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// group is one group of replicas with all its settings.
type group struct {
	name string
	groupSettings
	in      input
	listens bool              // its replicas listen at their addresses
	hasAddr bool              // its replicas have addresses
	fileEnv map[string]string // of env_file
}

// group merges and checks the settings of a group.
func (in input) group(name string, inGroup groupSettings) (*group, error) {
	set := in.flags.Group.or(inGroup).or(in.file.groupSettings)
	if inGroup.StopTimeout != nil && inGroup.Stop == nil && set.Stop != nil {
		set.Stop = &stop{Signal: set.Stop.Signal, To: set.Stop.To} // the group's stop_timeout overrides its timeout
	}
	if set.Name != nil && set.Replicas == nil {
		set.Replicas = new(count(1))
	}
	g := &group{name: name, groupSettings: set.or(defaults()), in: in}
	if len(in.flags.Command) > 0 {
		g.Command = texts[verbatim](in.flags.Command)
	}
	if g.Ready == nil && g.Alive != nil {
		// Otherwise a replica would be asked whether it is alive before it is up.
		g.Ready = &probe{Kind: g.Alive.Kind, Service: g.Alive.Service, Path: g.Alive.Path}
	}
	for _, text := range slices.Concat(g.Command, slices.Collect(maps.Values(g.Env))) {
		_, used, _ := expand(string(text), g.placeholders(0))
		g.listens = g.listens || slices.Contains(used, "addr") || slices.Contains(used, "port")
	}
	g.listens = g.listens || g.Ready.asks() || g.Alive.asks()
	// A base port outside the groups applies only to groups that listen.
	g.hasAddr = g.listens || inGroup.BasePort != nil || name == "" && set.BasePort != nil
	checks := []func() error{g.checkCommand, g.checkName, g.checkAfter, g.checkPorts, g.checkPolicy, func() error { return g.checkStop(inGroup) }, g.checkAlive, g.checkReady, g.readEnvFile, g.checkEnv, g.checkLimits}
	for _, check := range checks {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *group) policy() restart.Policy {
	p := restart.Policy{Mode: restart.Mode(*g.Restart), Delay: g.RestartDelay.span()}
	if b := g.Backoff; b != nil {
		p.Backoff = restart.Backoff{
			Factor: float64(deref(b.Factor)), Max: b.Max.span(), Jitter: float64(deref(b.Jitter)), Reset: b.Reset.span(),
		}
	}
	if l := g.Limit; l != nil {
		p.Limit = restart.Limit{
			Exits: int(*l.Exits), Window: l.Window.span(), Then: restart.Escalation(deref(l.Then)),
		}
	}
	return p
}

func (g *group) lastPort() int { return int(*g.BasePort) + int(*g.Replicas) - 1 }

// asks reports whether the probe asks at the replica's address.
func (p *probe) asks() bool {
	return p != nil && (p.is(spec.ProbeTCP) || p.is(spec.ProbeHTTP) || p.is(spec.ProbeGRPC))
}

func (p *probe) is(k spec.ProbeKind) bool { return p.Kind != nil && *p.Kind == kind(k) }

// probe converts p for the library. Nil is no probe.
func (p *probe) probe() spec.Probe {
	if p == nil {
		return spec.Probe{}
	}
	return spec.Probe{
		Kind: spec.ProbeKind(*p.Kind), Service: string(deref(p.Service)), Path: string(deref(p.Path)),
		Period: p.Period.span(), Timeout: p.Timeout.span(), Threshold: int(deref(p.Threshold)), Terminate: bool(deref(p.Terminate)),
	}
}

func (g *group) limits() spec.Limits {
	l := spec.Limits{Nice: int(deref(g.Nice)), User: string(deref(g.User))}
	for name, limit := range g.Rlimits {
		if l.Rlimits == nil {
			l.Rlimits = make(map[string]spec.Rlimit)
		}
		l.Rlimits[name] = spec.Rlimit(limit)
	}
	return l
}

// addr returns the address of the i-th replica.
func (g *group) addr(i int) string {
	return net.JoinHostPort(string(*g.Host), strconv.Itoa(int(*g.BasePort)+i))
}

// replicaName returns the name of the i-th replica.
func (g *group) replicaName(i int) string {
	switch {
	case g.Name != nil:
		return string(*g.Name)
	case g.name != "":
		return g.name + "-" + name(i)
	}
	return name(i)
}

// placeholders returns the placeholders of the i-th replica and their values.
func (g *group) placeholders(i int) []placeholder {
	return []placeholder{
		{"name", g.replicaName(i)}, {"index", strconv.Itoa(i)},
		{"addr", g.addr(i)}, {"port", strconv.Itoa(int(*g.BasePort) + i)},
	}
}

// replica returns the i-th replica.
func (g *group) replica(i int) (spec.Replica, error) {
	values := g.placeholders(i)
	r := spec.Replica{
		Name:         values[0].value,
		StopTimeout:  max(g.StopTimeout.span(), 1), // to the library zero is the default; here it means at once
		StartTimeout: g.StartTimeout.span(), Ready: g.Ready.probe(), Alive: g.Alive.probe(), Limits: g.limits(),
		Overflow: spec.Overflow(deref(g.LogOverflow)),
	}
	if s := g.Stop; s != nil {
		r.StopSignal, r.StopTo = syscall.Signal(deref(s.Signal)), spec.StopTarget(deref(s.To))
		if s.Timeout != nil {
			r.StopTimeout = max(s.Timeout.span(), 1)
		}
	}
	if g.hasAddr {
		r.Addr = values[2].value
	}
	dir, _, err := expand(string(deref(g.Dir)), values)
	if err != nil {
		return r, g.wrong("dir", "", err.Error())
	}
	r.Dir = g.in.file.beside(dir)
	if r.Args, err = g.args(values); err != nil {
		return r, err
	}
	if dir == "" && len(g.in.flags.Command) == 0 && strings.Contains(r.Args[0], "/") {
		r.Args[0] = withSlash(g.in.file.beside(r.Args[0]))
	}
	r.Env, err = g.environ(values)
	return r, err
}

// withSlash returns the path of a program with a slash in it, so that it is not looked up in PATH.
func withSlash(path string) string {
	if !strings.Contains(path, "/") {
		return "./" + path
	}
	return path
}

func (g *group) args(values []placeholder) ([]string, error) {
	var args []string
	for i, arg := range g.Command {
		text, _, err := expand(string(arg), values)
		if strings.Contains(text, "\x00") {
			err = fmt.Errorf("%q: want a text without a NUL", text)
		}
		if err != nil {
			return nil, g.wrong("command", fmt.Sprintf("[%d]", i), err.Error())
		}
		args = append(args, text)
	}
	return args, nil
}

// environ returns the replica's environment, or nil if it inherits the supervisor's.
func (g *group) environ(values []placeholder) ([]string, error) {
	var env []string
	switch {
	case bool(deref(g.CleanEnv)):
		env = []string{}
	case len(g.Env) > 0, len(g.fileEnv) > 0:
		env = os.Environ()
	}
	for _, key := range slices.Sorted(maps.Keys(g.fileEnv)) {
		env = append(env, key+"="+g.fileEnv[key])
	}
	for _, key := range slices.Sorted(maps.Keys(g.Env)) {
		text, _, err := expand(string(g.Env[key]), values)
		if err != nil {
			return nil, g.wrong("env", "."+key, err.Error())
		}
		env = append(env, key+"="+text)
	}
	return env, nil
}

// name returns the i-th of a, b, ... z, aa, ab, ...
func name(i int) string {
	s := string(rune('a' + i%26))
	if i < 26 {
		return s
	}
	return name(i/26-1) + s
}

// label is the name of a single replica.
type label string

// maxLabel is the longest name. As a bound in labels it would take 200 KiB of memory and 0.5 ms at
// each start.
const maxLabel = 253

var labels = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (l *label) UnmarshalText(text []byte) error {
	if len(text) > maxLabel || !labels.Match(text) {
		return fmt.Errorf("%q: want a name of letters, digits, -, _ and ., such as counter-0", text)
	}
	*l = label(text)
	return nil
}
