package clusterfile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/parse"
	"example.com/crashlab/supervisor/spec"
)

// wrong returns an error about the value of a key, or about the part of it that rest selects. It
// names the flag if that was given, or else the place in the file.
func (g *group) wrong(key, rest, what string) error {
	switch {
	case key == "command" && len(g.in.flags.Command) > 0:
		return inputfile.Place{Name: "COMMAND"}.Errorf("%s", what)
	case given(g.in.flags.Group, key):
		return inputfile.Place{Name: flag(key)}.Errorf("%s", what)
	}
	inGroup := "groups." + g.name + "." + key
	paths := []string{inGroup + rest, inGroup, key + rest, key}
	if key == "env" || key == "rlimits" { // these are merged
		paths = []string{inGroup + rest, key + rest}
	}
	for _, path := range paths {
		if g.in.file.Has(path) {
			return g.in.file.Value(path).Errorf("%s: %s", path, what)
		}
	}
	if g.name == "" {
		inGroup = key
	}
	return g.in.file.Value("groups."+g.name).Errorf("%s: %s", inGroup+rest, what)
}

// wrongVariable returns an error about the name of a variable in env.
func (g *group) wrongVariable(name, what string) error {
	path := "groups." + g.name + ".env." + name
	if !g.in.file.Has(path) {
		path = "env." + name
	}
	return g.in.file.Key(path).Errorf("env: %q: %s", name, what)
}

func (g *group) checkCommand() error {
	const want = "no command: want a list of texts, such as command: [PROGRAM, ARG]"
	switch {
	case len(g.Command) > 0:
		return nil
	case g.in.file.path == "":
		return inputfile.Place{}.Errorf("no command: want supervisor [flags] -- COMMAND..., or --config FILE; see supervisor --help")
	case g.name != "":
		return g.in.file.Value("groups."+g.name).Errorf("groups.%s: %s", g.name, want)
	}
	return g.in.file.Value("command").Errorf(want)
}

// checkName rejects a name that several replicas would have.
func (g *group) checkName() error {
	switch {
	case g.Name == nil:
		return nil
	case g.name != "":
		return g.wrong("name", "", fmt.Sprintf("%q: want it without groups, whose replicas are named after them", *g.Name))
	case *g.Replicas != 1:
		return g.wrong("name", "", fmt.Sprintf("%q: want one replica alone, not %d", *g.Name, *g.Replicas))
	}
	return nil
}

// checkNames rejects groups with the name of another group's replica. The library does so too, but
// cannot name the place in the file.
func (in input) checkNames(groups []*group) error {
	for _, g := range groups {
		for i := range int(*g.Replicas) {
			if name := g.replicaName(i); in.file.Has("groups." + name) {
				return in.file.Key("groups."+name).Errorf("groups: %q: want another name, as it is that of a replica of group %s", name, g.name)
			}
		}
	}
	return nil
}

func (g *group) checkAfter() error {
	if g.name == "" && len(g.After) > 0 || g.name != "" && len(g.in.file.After) > 0 {
		return g.in.file.Value("after").Errorf("after: want it in one of several groups")
	}
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(g.in.file.Groups)), func(name string) bool { return name == g.name })
	want := "one of " + strings.Join(others, ", ")
	if len(others) == 0 {
		want = "there is none"
	}
	for i, name := range g.After {
		if !slices.Contains(others, string(name)) {
			return g.wrong("after", fmt.Sprintf("[%d]", i), fmt.Sprintf("%q: want another group: %s", name, want))
		}
	}
	return nil
}

// checkOrder rejects groups that come after each other. The library does so too, but cannot name
// the place in the file.
func (in input) checkOrder(groups []spec.Group) error {
	var names []string
	after := make(map[string][]string)
	for _, g := range groups {
		names = append(names, g.Name)
		after[g.Name] = g.After
	}
	if _, circle := lifecycle.Layers(names, after); circle != nil {
		path := "groups." + circle[0] + ".after"
		return in.file.Value(path).Errorf("%s: groups %s come after each other: want an order", path, strings.Join(circle, ", "))
	}
	return nil
}

func (g *group) checkPorts() error {
	n, base, last := int(*g.Replicas), int(*g.BasePort), g.lastPort()
	if last <= parse.MaxPort {
		return nil
	}
	if !given(g.in.flags.Group, "base_port") && given(g.in.flags.Group, "replicas") {
		return g.wrong("replicas", "", fmt.Sprintf("%d: want %d or less, as ports begin at %d", n, parse.MaxPort-base+1, base))
	}
	return g.wrong("base_port", "", fmt.Sprintf("%d: want %d or less, as %d replicas take the ports up to %d", base, parse.MaxPort-n+1, n, last))
}

// checkPortOverlap rejects ports that an earlier group has.
func (g *group) checkPortOverlap(before []*group) error {
	for _, other := range before {
		sameHost := lifecycle.Clash(g.addr(0), other.addr(int(*g.BasePort-*other.BasePort)))
		if !g.hasAddr || !other.hasAddr || !sameHost ||
			int(*g.BasePort) > other.lastPort() || int(*other.BasePort) > g.lastPort() {
			continue
		}
		return g.wrong("base_port", "", fmt.Sprintf("%d: group %s has the ports %d to %d", *g.BasePort, other.name, *other.BasePort, other.lastPort()))
	}
	return nil
}

// capacity returns how many replicas the group can be scaled to: one if the replica has a name,
// otherwise as many as there are ports before the next one of another group or of the supervisor.
func (g *group) capacity(groups []*group, ours Settings) int {
	if g.Name != nil {
		return 1
	}
	if !g.hasAddr {
		return spec.MaxCount
	}
	taken := []string{ours.Control, ours.MetricsAddr}
	for _, other := range groups {
		if other != g && other.hasAddr {
			taken = append(taken, other.addr(0))
		}
	}
	most := min(spec.MaxCount, parse.MaxPort-int(*g.BasePort)+1)
	for n := int(*g.Replicas); n < most; n++ {
		if slices.ContainsFunc(taken, func(addr string) bool { return lifecycle.Clash(addr, g.addr(n)) }) {
			return n
		}
	}
	return most
}

func (g *group) checkPolicy() error {
	if g.Backoff != nil && deref(g.Backoff.Factor) > 1 && *g.RestartDelay == 0 {
		return g.wrong("restart_delay", "", "0s: want more, as the factor of backoff multiplies it")
	}
	if g.Limit != nil && g.Limit.Exits == nil {
		return g.wrong("limit", "", "no exits: want how many there may be, such as exits: 5")
	}
	return nil
}

// checkStop rejects two timeouts of which none overrides the other: both in one group, both at the
// top level, or one of them as a flag.
func (g *group) checkStop(inGroup groupSettings) error {
	switch {
	case g.Stop == nil || g.Stop.Timeout == nil:
		return nil
	case given(g.in.flags.Group, "stop_timeout"):
		return g.wrong("stop_timeout", "", "the cluster file has stop.timeout: set it there")
	case inGroup.StopTimeout != nil, inGroup.Stop == nil && g.in.file.StopTimeout != nil:
		return g.wrong("stop_timeout", "", "want one of it and stop.timeout, not both")
	}
	return nil
}

func (g *group) checkReady() error { return g.checkProbe("ready", g.Ready) }

func (g *group) checkAlive() error {
	if p := g.Alive; p != nil {
		period := spec.DefaultAlivePeriod
		if p.Period != nil {
			period = p.Period.span()
		}
		switch {
		case p.is(spec.ProbeNotify):
			return g.wrong("alive", ".kind", `"notify": want tcp, http, grpc or none, as a replica that hangs says nothing`)
		case p.Timeout.span() > period:
			return g.wrong("alive", ".timeout", fmt.Sprintf("%v: want the period, %v, or less", p.Timeout.span(), period))
		}
	}
	return g.checkProbe("alive", g.Alive)
}

func (g *group) checkProbe(key string, p *probe) error {
	switch {
	case p == nil:
		return nil
	case p.Kind == nil:
		return g.wrong(key, "", "no kind: want kind: tcp, http, grpc, notify or none")
	case p.Service != nil && !p.is(spec.ProbeGRPC):
		return g.wrong(key, ".service", "want none, as the kind is not grpc")
	case p.Path != nil && !p.is(spec.ProbeHTTP):
		return g.wrong(key, ".path", "want none, as the kind is not http")
	case p.Path != nil && !strings.HasPrefix(string(*p.Path), "/"):
		return g.wrong(key, ".path", fmt.Sprintf("%q: want a path from the slash on, such as /healthz", *p.Path))
	case p.Threshold != nil && key == "ready":
		return g.wrong(key, ".threshold", "want none: one good answer makes a replica ready")
	case p.Terminate != nil && key == "ready":
		return g.wrong(key, ".terminate", "want none: it is for alive")
	case p.Period != nil && p.Period.span() < spec.MinPeriod:
		return g.wrong(key, ".period", fmt.Sprintf("%v: want %v or more", p.Period.span(), spec.MinPeriod))
	case p.Timeout != nil && *p.Timeout == 0:
		return g.wrong(key, ".timeout", "0s: want more")
	}
	return nil
}

// readEnvFile reads the variables of env_file, which env overrides.
func (g *group) readEnvFile() (err error) {
	if g.EnvFile == nil {
		return nil
	}
	if g.fileEnv, err = inputfile.ReadEnv(string(*g.EnvFile)); err != nil {
		return g.wrong("env_file", "", err.Error())
	}
	for name := range reservedEnv {
		if _, found := g.fileEnv[name]; found {
			return g.wrong("env_file", "", fmt.Sprintf("%q: %s", name, wantEnvName))
		}
	}
	return nil
}

func (g *group) checkEnv() error {
	for _, key := range slices.Sorted(maps.Keys(g.Env)) {
		switch value := string(g.Env[key]); {
		case key == "" || strings.ContainsAny(key, "=\x00") || reservedEnv[key]:
			return g.wrongVariable(key, wantEnvName)
		case strings.Contains(value, "\x00"):
			return g.wrong("env", "."+key, fmt.Sprintf("%q: want a text without a NUL", value))
		}
	}
	return nil
}

const wantEnvName = "want a name without = or NUL, other than CRASHLAB_INCARNATION, NOTIFY_SOCKET and SUPERVISOR_ID, which are ours to set"

// reservedEnv are the environment variables that the supervisor sets.
var reservedEnv = map[string]bool{"CRASHLAB_INCARNATION": true, "NOTIFY_SOCKET": true, "SUPERVISOR_ID": true}

func (g *group) checkLimits() error {
	limits := g.limits().Rlimits
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		one := spec.Limits{Rlimits: map[string]spec.Rlimit{name: limits[name]}}
		if err := process.CheckLimits(one); err != nil {
			return g.wrong("rlimits", "."+name, err.Error())
		}
	}
	if g.User == nil {
		return nil
	}
	id, group, hasGroup := strings.Cut(string(*g.User), ":")
	if u, err := user.Lookup(id); err == nil {
		id = u.Uid
	}
	if of, err := user.LookupGroup(group); err == nil {
		group = of.Gid
	}
	switch {
	case !isID(id), hasGroup && !isID(group):
		return g.wrong("user", "", fmt.Sprintf("%q: want USER or USER:GROUP, each the name or number of one of this machine", *g.User))
	case os.Geteuid() != 0 && id != strconv.Itoa(os.Geteuid()):
		return g.wrong("user", "", fmt.Sprintf("%q: only root can run replicas as another user", *g.User))
	}
	return nil
}

// isID reports whether a text is the number of a user or group. The highest number is reserved.
func isID(text string) bool {
	n, err := strconv.ParseUint(text, 10, 32)
	return err == nil && n < math.MaxUint32
}

// checkReplica checks that a replica's directory and program exist.
func (g *group) checkReplica(r spec.Replica) error {
	if g.Dir != nil {
		if info, err := os.Stat(r.Dir); err != nil || !info.IsDir() {
			return g.wrong("dir", "", fmt.Sprintf("%q: want a directory", r.Dir))
		}
	}
	if err := findProgram(r); err != nil {
		for errors.Unwrap(err) != nil { // LookPath wraps the reason
			err = errors.Unwrap(err)
		}
		return g.wrong("command", "[0]", fmt.Sprintf("%q: %v: want a program in PATH, or its path with a slash", r.Args[0], err))
	}
	return nil
}

// findProgram returns an error if the launch of a replica would not find its program.
func findProgram(r spec.Replica) error {
	program, err := process.LookPath(r.Args[0], r.Dir, r.Env)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(program) {
		program = withSlash(filepath.Join(r.Dir, program))
	}
	_, err = exec.LookPath(program)
	return err
}
