package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/crashlab/supervisor"
)

type checkCmd struct {
	File     string   `arg:"" help:"Cluster file (YAML)"`
	Settings settings `embed:""`
	Own      own      `embed:""`

	stdout io.Writer
}

// Run reads the file, with the flags over it, and prints what would run. It
// launches nothing, and does not look whether the ports are free.
func (c *checkCmd) Run() error {
	f, err := load(c.File)
	if err != nil {
		return err
	}
	resolved, err := input{flags: c.Settings, own: c.Own, file: f}.cluster()
	if err != nil {
		return err
	}
	text, err := yaml.MarshalWithOptions(resolved.resolve(), yaml.UseLiteralStyleIfMultiline(true))
	if err == nil {
		_, err = c.stdout.Write(text)
	}
	return err
}

// resolvedReplica is a replica with its placeholders replaced and its defaults
// filled in. Durations have their units.
type resolvedReplica struct {
	Group        string            `yaml:"group,omitempty"`
	Addr         string            `yaml:"addr,omitempty"`
	Command      []string          `yaml:"command,flow"`
	Dir          string            `yaml:"dir,omitempty"`
	Env          map[string]string `yaml:"env,omitempty"` // beside what it inherits
	CleanEnv     bool              `yaml:"clean_env,omitempty"`
	Restart      string            `yaml:"restart"`
	RestartDelay string            `yaml:"restart_delay"`
	Ready        string            `yaml:"ready"`
	StartTimeout string            `yaml:"start_timeout,omitempty"`
	Alive        string            `yaml:"alive"`
	StopTimeout  string            `yaml:"stop_timeout"`
	User         string            `yaml:"user,omitempty"`
}

type resolvedCluster struct {
	Replicas yaml.MapSlice `yaml:"replicas"` // by name, in their order
	Control  string        `yaml:"control,omitempty"`
	Metrics  string        `yaml:"metrics_addr,omitempty"`
	Events   string        `yaml:"events,omitempty"`
	LogDir   string        `yaml:"log_dir,omitempty"`
	StateDir string        `yaml:"state_dir,omitempty"`
}

func (c *cluster) resolve() resolvedCluster {
	all := resolvedCluster{
		Control: string(deref(c.Control.Addr)), Metrics: string(deref(c.MetricsAddr)), Events: string(deref(c.Events)),
		LogDir: string(deref(c.LogDir)), StateDir: string(deref(c.StateDir)),
	}
	for i, g := range c.groups {
		for n := range g.Count {
			r := g.Replica(n)
			all.Replicas = append(all.Replicas, yaml.MapItem{Key: r.Name, Value: resolveReplica(r, g, c.settings[i])})
		}
	}
	return all
}

func resolveReplica(r supervisor.Replica, g supervisor.Group, s settings) resolvedReplica {
	v := resolvedReplica{
		Group: g.Name, Addr: r.Addr, Command: r.Args, Dir: r.Dir, CleanEnv: bool(deref(s.CleanEnv)),
		Restart: g.Policy.Restart.String(), RestartDelay: g.Policy.Delay.String(),
		Ready: r.Ready.Kind.String(), Alive: r.Alive.Kind.String(), StopTimeout: r.StopTimeout.Round(time.Microsecond).String(), User: r.Limits.User,
	}
	if r.StartTimeout > 0 {
		v.StartTimeout = r.StartTimeout.String()
	}
	for _, pair := range r.Env {
		key, value, _ := strings.Cut(pair, "=")
		if now, inherited := os.LookupEnv(key); inherited && now == value && !v.CleanEnv {
			continue
		}
		if v.Env == nil {
			v.Env = map[string]string{}
		}
		v.Env[key] = value
	}
	return v
}
