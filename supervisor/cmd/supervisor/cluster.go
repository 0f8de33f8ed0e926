package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/inputfile"
)

// cluster is what the user's input amounts to.
type cluster struct {
	own
	groups   []supervisor.Group
	settings []settings           // of each group, with the defaults
	replicas []supervisor.Replica // of all groups, at first
	bound    []string             // addresses that they will listen at
	banner   string
}

// input is what the user gave: flags, which win, and a file, which is empty
// where there is none.
type input struct {
	flags   settings
	own     own
	command []string
	file    *file
}

// cluster checks the input as a whole. Its errors are mistakes.
func (in input) cluster() (*cluster, error) {
	groups, err := in.groups()
	if err != nil {
		return nil, err
	}
	c := &cluster{own: in.own.or(in.file.own)}
	if err := in.checkControl(c.Control); err != nil {
		return nil, err
	}
	total := 0
	for i, g := range groups {
		if total += int(*g.Replicas); total > maxReplicas {
			return nil, in.file.mistake("groups."+g.name, fmt.Sprintf("groups.%s: with it there are %d replicas: want at most %d in all", g.name, total, maxReplicas))
		}
		if err := g.checkApart(groups[:i]); err != nil {
			return nil, err
		}
		if err := c.add(g); err != nil {
			return nil, err
		}
	}
	if err := in.checkAddrs(c); err != nil {
		return nil, err
	}
	for i, g := range groups {
		c.groups[i].Max = g.room(groups, c.own)
	}
	c.banner, err = in.banner(c)
	return c, err
}

// maxReplicas bounds what a small file can ask for: so many processes are more than a machine has.
const maxReplicas = 10_000

var groupName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// groups returns the groups in the order of the file.
func (in input) groups() ([]*group, error) {
	if len(in.file.Groups) == 0 {
		g, err := in.group("", settings{})
		return []*group{g}, err
	}
	for _, key := range []string{"replicas", "base_port"} {
		if given(in.flags, key) {
			return nil, inputfile.Place{Name: flag(key)}.Errorf("the cluster file has groups: set it there")
		}
	}
	if len(in.command) > 0 {
		return nil, inputfile.Place{Name: "COMMAND"}.Errorf("the cluster file has groups: set it there")
	}
	names := slices.SortedFunc(maps.Keys(in.file.Groups), func(a, b string) int {
		return in.file.at["groups."+a].Position.Offset - in.file.at["groups."+b].Position.Offset
	})
	var groups []*group
	for _, name := range names {
		if !groupName.MatchString(name) {
			return nil, in.file.mistake("groups."+name, fmt.Sprintf("groups: %q: want a name of letters, digits, - and _", name))
		}
		g, err := in.group(name, in.file.Groups[name])
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// add adds a group, whose replicas it checks.
func (c *cluster) add(g *group) error {
	n := int(*g.Replicas)
	for i := range n {
		r, err := g.replica(i)
		if err == nil {
			err = g.checkReplica(r)
		}
		if err != nil {
			return err
		}
		c.replicas = append(c.replicas, r)
		if g.listens {
			c.bound = append(c.bound, r.Addr)
		}
	}
	c.settings = append(c.settings, g.settings)
	c.groups = append(c.groups, supervisor.Group{
		Name: g.name, Count: n, Policy: g.policy(),
		Replica: func(i int) supervisor.Replica {
			r, _ := g.replica(i) // what can be wrong is so for each of them
			return r
		},
	})
	return nil
}

// names are those of all replicas at first.
func (c *cluster) names() []string {
	var names []string
	for _, r := range c.replicas {
		names = append(names, r.Name)
	}
	return names
}

// banner returns the banner's text.
func (in input) banner(c *cluster) (string, error) {
	var addrs []string
	for _, r := range c.replicas {
		if r.Addr != "" {
			addrs = append(addrs, r.Addr)
		}
	}
	values := []placeholder{{"addrs", strings.Join(addrs, ",")}, {"addr", ""}, {"control", string(deref(c.Control.Addr))}}
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
		return "", in.file.mistake("banner", "banner: "+err.Error())
	}
	return text, nil
}

// checkFree finds out before the first launch whether another process has a
// replica's port: else each launch would crash, for a reason hard to see.
// Addresses that are ours already are left out.
func (c *cluster) checkFree(ours func(addr string) bool) error {
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
		name := c.replicas[slices.IndexFunc(c.replicas, func(r supervisor.Replica) bool { return r.Addr == addr })].Name
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%s is in use by another process", addr)
		}
		return fmt.Errorf("replica %s: %w; choose another %s", name, err, c.portSetting())
	}
	return nil
}

// portSetting is what the user changes to have other ports.
func (c *cluster) portSetting() string {
	if len(c.groups) > 1 || c.groups[0].Name != "" {
		return "base_port"
	}
	return flag("base_port")
}
