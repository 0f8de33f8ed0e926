// Package clusterfile reads the supervisor's cluster file, a YAML file that describes the replicas
// and the supervisor, together with the flags that override it. It checks both as a whole, so that
// errors can name the flag or the place in the file.
//
// Use it in programs that run a supervisor from a file, as supervisor and crashlab live do.
// Programs that build their groups in Go use package spec directly.
package clusterfile

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/spec"
)

// Cluster is the result of reading a cluster file and the flags that override it.
type Cluster struct {
	Path string // path of the file; empty: there is none
	Settings
	Groups   []spec.Group
	Replicas []spec.Replica // initial replicas of all groups
	Banner   string         // text to print once all of them are ready

	in         input
	supervisor supervisorSettings
	bound      []string // addresses at which the replicas will listen
}

// Read reads the cluster file at path, which may be a pipe. If path is empty, there are only the
// flags. An error about either is an [*inputfile.Mistake].
func Read(path string, f Flags) (*Cluster, error) {
	return input{flags: f, file: &file{path: path}}.read(inputfile.ReadOnce)
}

// Reread reads the file of c again, with the same flags. The file must not be a pipe. A change that
// requires a restart of the supervisor is an [*inputfile.Mistake] too.
func (c *Cluster) Reread() (*Cluster, error) {
	next, err := c.in.read(inputfile.Read)
	if err == nil {
		err = next.in.checkFixed(c, next)
	}
	if err != nil {
		return nil, err
	}
	return next, nil
}

// input is the input of the user: flags, which take precedence, and a file, which is empty if there
// is none.
type input struct {
	flags Flags
	file  *file
}

// read reads the file with readFile and checks the input.
func (in input) read(readFile func(path string, most int) ([]byte, error)) (c *Cluster, err error) {
	if in.file.path != "" {
		if in.file, err = load(readFile, in.file.path); err != nil {
			return nil, err
		}
	}
	return in.cluster()
}

// cluster checks the input as a whole. Its errors are mistakes.
func (in input) cluster() (*Cluster, error) {
	groups, err := in.groups()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Path: in.file.path, in: in, supervisor: in.flags.Supervisor.or(in.file.supervisorSettings).or(supervisorDefaults())}
	if in.flags.Insecure {
		c.supervisor.Insecure = new(boolean(true))
	}
	c.Settings = c.supervisor.settings()
	if err := in.checkTLS(c); err != nil {
		return nil, err
	}
	total := 0
	for i, g := range groups {
		if total += int(*g.Replicas); total > maxReplicas {
			return nil, in.file.Value("groups."+g.name).Errorf("groups.%s: with it there are %d replicas: want at most %d in all", g.name, total, maxReplicas)
		}
		if err := g.checkPortOverlap(groups[:i]); err != nil {
			return nil, err
		}
		if err := c.add(g); err != nil {
			return nil, err
		}
	}
	if err := in.checkNames(groups); err != nil {
		return nil, err
	}
	if err := in.checkOrder(c.Groups); err != nil {
		return nil, err
	}
	if err := in.checkAddrs(c); err != nil {
		return nil, err
	}
	for i, g := range groups {
		c.Groups[i].Max = g.capacity(groups, c.Settings)
	}
	if c.Banner, err = in.banner(c); err != nil {
		return nil, err
	}
	return c, nil
}

// maxReplicas limits what a small file can ask for. No machine runs that many processes well.
const maxReplicas = 10_000

var groupName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// groups returns the groups in the order of the file.
func (in input) groups() ([]*group, error) {
	if len(in.file.Groups) == 0 {
		g, err := in.group("", groupSettings{})
		return []*group{g}, err
	}
	for _, key := range []string{"replicas", "base_port"} {
		if given(in.flags.Group, key) {
			return nil, inputfile.Place{Name: flag(key)}.Errorf("the cluster file has groups: set it there")
		}
	}
	if len(in.flags.Command) > 0 {
		return nil, inputfile.Place{Name: "COMMAND"}.Errorf("the cluster file has groups: set it there")
	}
	var groups []*group
	for _, name := range in.file.Keys("groups") {
		if !groupName.MatchString(name) {
			return nil, in.file.Value("groups."+name).Errorf("groups: %q: want a name of letters, digits, - and _", name)
		}
		g, err := in.group(name, in.file.Groups[name])
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// add adds a group and checks its replicas.
func (c *Cluster) add(g *group) error {
	n := int(*g.Replicas)
	for i := range n {
		r, err := g.replica(i)
		if err == nil {
			err = g.checkReplica(r)
		}
		if err != nil {
			return err
		}
		c.Replicas = append(c.Replicas, r)
		if g.listens {
			c.bound = append(c.bound, r.Addr)
		}
	}
	c.Groups = append(c.Groups, spec.Group{
		Name: g.name, Count: n, Policy: g.policy(), After: texts[string](g.After),
		Replica: func(i int) spec.Replica {
			r, _ := g.replica(i) // an error would have occurred for replica 0 too
			return r
		},
	})
	return nil
}

func texts[To, From ~string](from []From) (to []To) {
	for _, text := range from {
		to = append(to, To(text))
	}
	return to
}

// banner returns the text of the banner.
func (in input) banner(c *Cluster) (string, error) {
	var addrs []string
	for _, r := range c.Replicas {
		if r.Addr != "" {
			addrs = append(addrs, r.Addr)
		}
	}
	values := []placeholder{{"addrs", strings.Join(addrs, ",")}, {"addr", ""}, {"control", c.Control}}
	if len(addrs) > 0 {
		values[1].value = addrs[0]
	}
	text, used, err := expand(string(deref(in.file.Banner)), values)
	for _, v := range values {
		if v.value == "" && slices.Contains(used, v.name) {
			err = fmt.Errorf("{%s}: there is no such address: no replica has one, or the control service is off", v.name)
		}
	}
	if err != nil {
		return "", in.file.Value("banner").Errorf("banner: %v", err)
	}
	return text, nil
}

// CheckFree returns an error if another process has the port of a replica: each launch would crash,
// for a reason that is hard to see. It skips addresses for which ours returns true.
func (c *Cluster) CheckFree(ours func(addr string) bool) error {
	for _, addr := range c.bound {
		if ours(addr) {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			continue
		}
		if ours(addr) { // since then, by Scale
			continue
		}
		name := c.Replicas[slices.IndexFunc(c.Replicas, func(r spec.Replica) bool { return r.Addr == addr })].Name
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%s is in use by another process", addr)
		}
		return fmt.Errorf("replica %s: %w; choose another %s", name, err, c.portSetting())
	}
	return nil
}

// portSetting returns the flag or key that chooses other ports.
func (c *Cluster) portSetting() string {
	if len(c.Groups) > 1 || c.Groups[0].Name != "" {
		return "base_port"
	}
	return flag("base_port")
}
