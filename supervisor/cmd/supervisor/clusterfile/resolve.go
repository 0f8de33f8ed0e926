package clusterfile

import (
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/crashlab/supervisor"
)

// resolvedReplica is a replica for [Cluster.Resolved]. Durations have their units.
type resolvedReplica struct {
	Group        string            `yaml:"group,omitempty"`
	After        []string          `yaml:"after,omitempty,flow"`
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

// Resolved returns what would run, in YAML: each replica with its placeholders
// replaced and its defaults filled in.
func (c *Cluster) Resolved() ([]byte, error) {
	all := resolvedCluster{
		Control: c.Control.Addr, Metrics: c.MetricsAddr, Events: c.Events, LogDir: c.LogDir, StateDir: c.StateDir,
	}
	for i, g := range c.Groups {
		for n := range g.Count {
			r := g.Replica(n)
			all.Replicas = append(all.Replicas, yaml.MapItem{Key: r.Name, Value: resolveReplica(r, g, c.settings[i])})
		}
	}
	return yaml.MarshalWithOptions(all, yaml.UseLiteralStyleIfMultiline(true))
}

func resolveReplica(r supervisor.Replica, g supervisor.Group, s settings) resolvedReplica {
	v := resolvedReplica{
		Group: g.Name, After: g.After, Addr: r.Addr, Command: r.Args, Dir: r.Dir, CleanEnv: bool(deref(s.CleanEnv)),
		Restart: g.Policy.Mode.String(), RestartDelay: g.Policy.Delay.String(),
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
