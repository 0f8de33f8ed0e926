package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/crashlab/supervisor"
)

// cluster is what the user's input amounts to.
type cluster struct {
	replicas    []supervisor.Replica
	addrs       []string // of the replicas
	listens     bool     // the command names the addresses, so that replicas will listen there
	policy      supervisor.Policy
	stopTimeout time.Duration
	banner      string
}

// input is what the user gave: flags, which win, and a file unless it is nil.
type input struct {
	flags   settings
	command []string
	file    *file
}

// cluster checks the input as a whole. Its errors are mistakes.
func (in input) cluster() (*cluster, error) {
	set, command, file := in.flags, in.command, &file{}
	if in.file != nil {
		file = in.file
		set = set.or(file.Settings)
		if len(command) == 0 {
			for _, w := range file.Command {
				command = append(command, string(w))
			}
		}
	}
	set = set.or(defaults())
	if len(command) == 0 {
		return nil, in.noCommand()
	}
	n, base := int(*set.Replicas), int(*set.BasePort)
	if base+n-1 > maxPort {
		return nil, in.tooHigh(base, n)
	}
	c := &cluster{
		policy:      supervisor.Policy{Restart: supervisor.Restart(*set.Restart), Delay: time.Duration(*set.RestartDelay)},
		stopTimeout: max(time.Duration(*set.StopTimeout), 1), // the library's zero is its default; ours is at once
	}
	for i := range n {
		if err := c.add(in, i, base+i, command, file.Env); err != nil {
			return nil, err
		}
	}
	banner, _, err := expand(file.Banner, []placeholder{
		{"addrs", strings.Join(c.addrs, ",")}, {"addr", c.addrs[0]},
	})
	if err != nil {
		return nil, file.mistake("banner: "+err.Error(), "banner")
	}
	c.banner = banner
	return c, nil
}

func (in input) noCommand() error {
	if in.file == nil {
		return &mistake{what: "no command: want supervisor [flags] -- COMMAND..., or --config FILE"}
	}
	return in.file.mistake("no command: want a list of texts, such as command: [PROGRAM, ARG]", "command")
}

// tooHigh blames the flag that was given, else the file: the defaults fit.
func (in input) tooHigh(base, n int) error {
	port := fmt.Sprintf("%d: want %d or less, as %d replicas take the ports up to %d", base, maxPort-n+1, n, base+n-1)
	switch {
	case in.flags.BasePort != nil:
		return &mistake{where: "--base-port", what: port}
	case in.flags.Replicas != nil:
		return &mistake{where: "--replicas", what: fmt.Sprintf("%d: want %d or less, as ports begin at %d", n, maxPort-base+1, base)}
	}
	return in.file.mistake("base_port: "+port, "base_port")
}

// add adds the i-th replica, whose command and environment it expands.
func (c *cluster) add(in input, i, port int, command []string, env map[string]word) error {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r := supervisor.Replica{Name: name(i)}
	values := []placeholder{
		{"name", r.Name}, {"index", strconv.Itoa(i)}, {"addr", addr}, {"port", strconv.Itoa(port)},
	}
	for j, arg := range command {
		if strings.Contains(arg, "\x00") {
			return in.wrongCommand(j, fmt.Errorf("%q: want a text without a NUL", arg))
		}
		text, used, err := expand(arg, values)
		if err != nil {
			return in.wrongCommand(j, err)
		}
		r.Args = append(r.Args, text)
		c.listens = c.listens || slices.Contains(used, "addr") || slices.Contains(used, "port")
	}
	if _, err := exec.LookPath(r.Args[0]); err != nil {
		return in.wrongCommand(0, fmt.Errorf("%q: %w: want a program in PATH, or its path with a slash", r.Args[0], reason(err)))
	}
	if len(env) > 0 {
		r.Env = os.Environ()
	}
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.Contains(string(env[key]), "\x00") || key == "INCARNATION" {
			return in.file.mistake(fmt.Sprintf("env %q: want a name without = or NUL, other than INCARNATION, which is ours to set", key), "env", key)
		}
		text, used, err := expand(string(env[key]), values)
		if err != nil {
			return in.file.mistake(fmt.Sprintf("env %s: %v", key, err), "env", key)
		}
		r.Env = append(r.Env, key+"="+text)
		c.listens = c.listens || slices.Contains(used, "addr") || slices.Contains(used, "port")
	}
	c.replicas = append(c.replicas, r)
	c.addrs = append(c.addrs, addr)
	return nil
}

// wrongCommand says what is wrong with the command's i-th word.
func (in input) wrongCommand(i int, err error) error {
	if len(in.command) > 0 {
		return &mistake{where: "COMMAND", what: err.Error()}
	}
	return in.file.mistake("command: "+err.Error(), "command", i)
}

// reason strips what LookPath says beside the reason.
func reason(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err
}

// checkPorts finds out before the first launch whether another process has a
// replica's port: else each launch would crash, for a reason hard to see.
func (c *cluster) checkPorts() error {
	if !c.listens {
		return nil
	}
	for i, addr := range c.addrs {
		l, err := net.Listen("tcp", addr)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("replica %s: %s is in use by another process; choose another --base-port", c.replicas[i].Name, addr)
		case err != nil:
			return fmt.Errorf("replica %s: %w; choose another --base-port", c.replicas[i].Name, err)
		}
		l.Close()
	}
	return nil
}

// name is the i-th of a, b, ... z, aa, ab, ...
func name(i int) string {
	s := string(rune('a' + i%26))
	if i < 26 {
		return s
	}
	return name(i/26-1) + s
}

type placeholder struct{ name, value string }

// A shell's ${name} is not ours, nor is anything but lower-case letters in braces.
var braces = regexp.MustCompile(`\$?\{[a-z]+\}`)

// expand replaces {name} by its value and returns the names used. An unknown
// one is an error that lists the allowed ones.
func expand(text string, values []placeholder) (expanded string, used []string, err error) {
	expanded = braces.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "$") {
			return found
		}
		var allowed []string
		for _, v := range values {
			if found == "{"+v.name+"}" {
				used = append(used, v.name)
				return v.value
			}
			allowed = append(allowed, "{"+v.name+"}")
		}
		err = fmt.Errorf("%q: unknown placeholder %s: want one of %s", text, found, strings.Join(allowed, ", "))
		return found
	})
	return expanded, used, err
}
