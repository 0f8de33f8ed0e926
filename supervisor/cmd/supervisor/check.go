package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/internal/probe"
	"example.com/crashlab/supervisor/restart"
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

// resolvedReplica is a replica with its placeholders and defaults filled in. What is off, or as the
// system has it, is left out. Durations have their units.
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
	Backoff      *resolvedBackoff  `yaml:"backoff,omitempty,flow"`
	Limit        *resolvedLimit    `yaml:"limit,omitempty,flow"`
	Ready        any               `yaml:"ready,flow"` // a text if it is a kind alone, or a resolvedProbe
	StartTimeout string            `yaml:"start_timeout,omitempty"`
	Alive        any               `yaml:"alive,flow"`
	Stop         *resolvedStop     `yaml:"stop,omitempty,flow"`
	StopTimeout  string            `yaml:"stop_timeout"`
	User         string            `yaml:"user,omitempty"`
	Rlimits      map[string]string `yaml:"rlimits,omitempty,flow"`
	Nice         int               `yaml:"nice,omitempty"`
	LogOverflow  string            `yaml:"log_overflow,omitempty"`
}

type resolvedBackoff struct {
	Factor float64 `yaml:"factor"`
	Max    string  `yaml:"max"`
	Jitter float64 `yaml:"jitter"`
	Reset  string  `yaml:"reset"`
}

type resolvedLimit struct {
	Exits  int    `yaml:"exits"`
	Window string `yaml:"window"`
	Then   string `yaml:"then"`
}

type resolvedProbe struct {
	Kind      string `yaml:"kind"`
	Service   string `yaml:"service,omitempty"`
	Path      string `yaml:"path,omitempty"`
	Period    string `yaml:"period"`
	Timeout   string `yaml:"timeout"`
	Threshold int    `yaml:"threshold,omitempty"`
	Terminate bool   `yaml:"terminate,omitempty"`
}

type resolvedStop struct {
	Signal string `yaml:"signal"`
	To     string `yaml:"to"`
}

type resolvedCluster struct {
	Replicas    yaml.MapSlice `yaml:"replicas"` // by name, in order
	MaxStarting int           `yaml:"max_starting,omitempty"`
	Banner      string        `yaml:"banner,omitempty"`
	Events      string        `yaml:"events,omitempty"`
	LogDir      string        `yaml:"log_dir,omitempty"`
	LogSize     int64         `yaml:"log_size"` // MB
	LogFiles    int           `yaml:"log_files"`
	FileMode    string        `yaml:"file_mode"`
	StateDir    string        `yaml:"state_dir,omitempty"`
	Metrics     string        `yaml:"metrics_addr,omitempty"`
	TLS         resolvedTLS   `yaml:"tls,omitempty"`
	Insecure    bool          `yaml:"insecure,omitempty"`
	Control     string        `yaml:"control,omitempty"`
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
		MaxStarting: c.MaxStarting, Banner: c.Banner, Events: c.Events,
		LogDir: c.LogDir, LogSize: c.LogSize / 1e6, LogFiles: c.LogFiles, FileMode: fmt.Sprintf("%#o", c.FileMode), StateDir: c.StateDir,
		Metrics: c.MetricsAddr, Insecure: c.Insecure, Control: c.Control,
		TLS: resolvedTLS{c.Serve.Cert, c.Serve.Key, c.Serve.ClientCA, c.Ask.CA, c.Ask.ServerName},
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
		Ready: resolveProbe(r.Ready, false), Alive: resolveProbe(r.Alive, true),
		StopTimeout: r.StopTimeout.Round(time.Microsecond).String(), User: r.Limits.User, Nice: r.Limits.Nice,
	}
	p := g.Policy.WithDefaults()
	if b := p.Backoff; g.Policy.Backoff != (restart.Backoff{}) {
		v.Backoff = &resolvedBackoff{b.Factor, b.Max.String(), b.Jitter, b.Reset.String()}
	}
	if l := p.Limit; l.Exits > 0 {
		v.Limit = &resolvedLimit{l.Exits, l.Window.String(), l.Then.String()}
	}
	if r.StartTimeout > 0 {
		v.StartTimeout = r.StartTimeout.String()
	}
	if r.StopSignal != 0 || r.StopTo != spec.StopGroup {
		signal := restart.SignalName(cmp.Or(r.StopSignal, syscall.SIGTERM))
		v.Stop = &resolvedStop{strings.TrimPrefix(signal, "SIG"), r.StopTo.String()}
	}
	if r.Overflow != spec.OverflowBlock {
		v.LogOverflow = r.Overflow.String()
	}
	for name, limit := range r.Limits.Rlimits {
		if v.Rlimits == nil {
			v.Rlimits = map[string]string{}
		}
		v.Rlimits[name] = limit.String()
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

// resolveProbe returns the kind of a probe if the rest is as by default, or else all of it.
func resolveProbe(p spec.Probe, alive bool) any {
	if p == (spec.Probe{Kind: p.Kind}) {
		return p.Kind.String()
	}
	p = probe.WithDefaults(p, alive)
	v := resolvedProbe{Kind: p.Kind.String(), Service: p.Service, Path: p.Path, Period: p.Period.String(), Timeout: p.Timeout.String()}
	if p.Kind == spec.ProbeHTTP {
		v.Path = cmp.Or(p.Path, "/")
	}
	if alive {
		v.Threshold, v.Terminate = p.Threshold, p.Terminate
	}
	return v
}
