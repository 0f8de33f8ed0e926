package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"example.com/crashlab/supervisor"
)

const (
	maxReplicas = 1000 // beyond the ports and processes one machine is good for
	maxPort     = 65535
)

// settings are what both a flag and the cluster file can set; nil: not given.
type settings struct {
	Replicas     *count    `yaml:"replicas" placeholder:"N" help:"Number of replicas, 1 to 1000; they are named a, b, c... (default 3)"`
	BasePort     *port     `yaml:"base_port" placeholder:"PORT" help:"Port of replica a on 127.0.0.1; b has the next one (default 7101)"`
	Restart      *restart  `yaml:"restart" placeholder:"always|never" help:"After which exits to relaunch (default always)"`
	RestartDelay *duration `yaml:"restart_delay" placeholder:"DURATION" help:"From a replica's exit to its relaunch, such as 1.5s (default 500ms)"`
	StopTimeout  *duration `yaml:"stop_timeout" placeholder:"DURATION" help:"From SIGTERM to SIGKILL when stopping (default 5s)"`
}

// or takes what is not given from others.
func (s settings) or(others settings) settings {
	s.Replicas = first(s.Replicas, others.Replicas)
	s.BasePort = first(s.BasePort, others.BasePort)
	s.Restart = first(s.Restart, others.Restart)
	s.RestartDelay = first(s.RestartDelay, others.RestartDelay)
	s.StopTimeout = first(s.StopTimeout, others.StopTimeout)
	return s
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// The base port lies below the ephemeral range, from which a client's own
// socket could take the port of a replica that is down.
func defaults() settings {
	return settings{
		Replicas: new(count(3)), BasePort: new(port(7101)), Restart: new(restart(supervisor.Always)),
		RestartDelay: new(duration(500 * time.Millisecond)), StopTimeout: new(duration(5 * time.Second)),
	}
}

type (
	count    int
	port     int
	duration time.Duration
	restart  supervisor.Restart
)

func (c *count) UnmarshalText(text []byte) error   { return parseInt(text, maxReplicas, c) }
func (p *port) UnmarshalText(text []byte) error    { return parseInt(text, maxPort, p) }
func (c *count) UnmarshalYAML(n ast.Node) error    { return scalar(n, c.UnmarshalText) }
func (p *port) UnmarshalYAML(n ast.Node) error     { return scalar(n, p.UnmarshalText) }
func (d *duration) UnmarshalYAML(n ast.Node) error { return scalar(n, d.UnmarshalText) }
func (r *restart) UnmarshalYAML(n ast.Node) error  { return scalar(n, r.UnmarshalText) }

func parseInt[T ~int](text []byte, most int, to *T) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%q: want 1 to %d", text, most)
	}
	*to = T(n)
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

func (r *restart) UnmarshalText(text []byte) error {
	for _, v := range []supervisor.Restart{supervisor.Always, supervisor.Never} {
		if string(text) == v.String() {
			*r = restart(v)
			return nil
		}
	}
	return fmt.Errorf("%q: want always or never", text)
}

// scalar gives the node's text to parse, and its position to parse's error.
func scalar(n ast.Node, parse func(text []byte) error) error {
	token := n.GetToken()
	text := token.Value
	if _, ok := n.(ast.ScalarNode); !ok {
		text = n.String() // a list or a map, which parse refuses
		text, _, _ = strings.Cut(text, "\n")
	}
	if err := parse([]byte(text)); err != nil {
		key := strings.TrimPrefix(n.GetPath(), "$.")
		return &yaml.SyntaxError{Message: key + ": " + err.Error(), Token: token}
	}
	return nil
}
