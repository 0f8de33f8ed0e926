package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/transport"
)

type checkCmd struct {
	File  string            `arg:"" help:"Cluster file (YAML)."`
	Flags clusterfile.Flags `embed:""`

	stdout io.Writer
}

// Help shows examples.
func (checkCmd) Help() string {
	return `Nothing is launched, and whether the ports are free is not checked.

Examples:

    supervisor check deploy/cluster.yaml
    supervisor check deploy/cluster.yaml --replicas 5 --restart-delay 1s`
}

// Run prints what the file and the flags would run. It launches nothing, and does not check whether
// the ports are free.
func (c *checkCmd) Run() error {
	cluster, err := clusterfile.Read(c.File, c.Flags)
	if err != nil {
		return err
	}
	text, err := yaml.MarshalWithOptions(resolve(cluster), yaml.UseLiteralStyleIfMultiline(true))
	if err == nil {
		_, err = c.stdout.Write(text)
	}
	return err
}

// resolvedReplica is a replica with its placeholders and defaults filled in. Durations have their
// units.
type resolvedReplica struct {
	Group        string            `yaml:"group,omitempty"`
	After        []string          `yaml:"after,omitempty,flow"`
	Addr         string            `yaml:"addr,omitempty"`
	Command      []string          `yaml:"command,flow"`
	Dir          string            `yaml:"dir,omitempty"`
	Env          map[string]string `yaml:"env,omitempty"` // in addition to what it inherits
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
	Replicas yaml.MapSlice `yaml:"replicas"` // by name, in order
	Control  string        `yaml:"control,omitempty"`
	Metrics  string        `yaml:"metrics_addr,omitempty"`
	TLS      resolvedTLS   `yaml:"tls,omitempty"`
	Insecure bool          `yaml:"insecure,omitempty"`
	Events   string        `yaml:"events,omitempty"`
	LogDir   string        `yaml:"log_dir,omitempty"`
	StateDir string        `yaml:"state_dir,omitempty"`
}

type resolvedTLS struct {
	Cert       transport.Path `yaml:"cert,omitempty"`
	Key        transport.Path `yaml:"key,omitempty"`
	ClientCA   transport.Path `yaml:"client_ca,omitempty"`
	CA         transport.Path `yaml:"ca,omitempty"`
	ServerName transport.Name `yaml:"server_name,omitempty"`
}

func resolve(c *clusterfile.Cluster) resolvedCluster {
	all := resolvedCluster{
		Control: c.Control, Metrics: c.MetricsAddr, Insecure: c.Insecure,
		TLS:    resolvedTLS{c.Serve.Cert, c.Serve.Key, c.Serve.ClientCA, c.Ask.CA, c.Ask.ServerName},
		Events: c.Events, LogDir: c.LogDir, StateDir: c.StateDir,
	}
	for _, g := range c.Groups {
		for n := range g.Count {
			r := g.Replica(n)
			all.Replicas = append(all.Replicas, yaml.MapItem{Key: r.Name, Value: resolveReplica(r, g)})
		}
	}
	return all
}

func resolveReplica(r spec.Replica, g spec.Group) resolvedReplica {
	v := resolvedReplica{
		Group: g.Name, After: g.After, Addr: r.Addr, Command: r.Args, Dir: r.Dir,
		Restart: g.Policy.Mode.String(), RestartDelay: g.Policy.Delay.String(),
		Ready: r.Ready.Kind.String(), Alive: r.Alive.Kind.String(), StopTimeout: r.StopTimeout.Round(time.Microsecond).String(), User: r.Limits.User,
	}
	if r.StartTimeout > 0 {
		v.StartTimeout = r.StartTimeout.String()
	}
	env, inherited := r.Env, os.Environ()
	if v.CleanEnv = env != nil && (len(env) < len(inherited) || !slices.Equal(env[:len(inherited)], inherited)); !v.CleanEnv {
		env = env[min(len(env), len(inherited)):]
	}
	for _, pair := range env {
		if v.Env == nil {
			v.Env = map[string]string{}
		}
		key, value, _ := strings.Cut(pair, "=")
		v.Env[key] = value
	}
	return v
}
