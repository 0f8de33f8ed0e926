//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// oursPackage is the supervisor that is measured unless --supervisor names another program.
const oursPackage = "./supervisor/cmd/supervisor"

// peer is one way to keep children running.
type peer struct {
	name   string
	needs  []string       // programs in PATH
	end    syscall.Signal // ends it in an orderly way
	every  int            // takes part only in every such round, because it is slow
	debian string         // its Debian package; empty: none
	delay  time.Duration  // its restart delay; zero: none that can be set
	// command returns the command line, having written the files that it needs to dir.
	command func(c crew, dir string) ([]string, error)
}

// crew is the children of one peer.
type crew struct {
	lab      *lab
	name     string
	count    int
	basePort int
	more     []string // further arguments
}

func (c crew) child(i int) string { return fmt.Sprintf("%s-%d", c.name, i) }

// args returns the command line of the i-th child.
func (c crew) args(i int) []string {
	return c.line(c.child(i), fmt.Sprintf("127.0.0.1:%d", c.basePort+i))
}

func (c crew) line(name, addr string) []string {
	return append([]string{c.lab.child, "--name=" + name, "--addr=" + addr, "--records=" + c.lab.records}, c.more...)
}

// missing returns the first program that a peer needs and this machine lacks, or "".
func (p peer) missing() string {
	for _, program := range p.needs {
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	return ""
}

// start runs the peer with its children.
func (p peer) start(c crew) (*process, error) {
	dir, err := os.MkdirTemp(c.lab.dir, "peer-")
	if err != nil {
		return nil, err
	}
	args, err := p.command(c, dir)
	if err != nil {
		return nil, err
	}
	return c.lab.start(p.end, args...)
}

// floor is the least that a supervisor must do.
func floor() peer {
	return peer{name: "fork+exec", end: syscall.SIGTERM, every: 1, command: func(c crew, dir string) ([]string, error) {
		self, err := os.Executable()
		return append([]string{self, "floor", fmt.Sprint(c.count), fmt.Sprint(c.basePort)}, c.line(c.name, "")...), err
	}}
}

func bash() peer {
	return peer{name: "bash", debian: "bash", needs: []string{"bash"}, end: syscall.SIGTERM, every: 1, command: func(c crew, dir string) ([]string, error) {
		var script strings.Builder
		for i := range c.count {
			fmt.Fprintf(&script, "(while :; do %s; done) &\n", strings.Join(c.args(i), " "))
		}
		return []string{"bash", "-c", script.String() + "wait"}, nil
	}}
}

func runit() peer {
	return peer{name: "runit", debian: "runit", needs: []string{"runsvdir", "runsv"}, end: syscall.SIGHUP, every: 1, command: func(c crew, dir string) ([]string, error) {
		return []string{"runsvdir", dir}, writeServices(c, dir, nil)
	}}
}

func s6() peer {
	return peer{name: "s6", debian: "s6", needs: []string{"s6-svscan", "s6-supervise"}, end: syscall.SIGTERM, every: 1, command: func(c crew, dir string) ([]string, error) {
		// s6 relaunches at once only what was ready for a second.
		c.more = append(c.more, "--ready-fd=3")
		return []string{"s6-svscan", dir}, writeServices(c, dir, map[string]string{"notification-fd": "3\n"})
	}}
}

// writeServices makes dir a service directory of runit or s6, with additional files in each
// service.
func writeServices(c crew, dir string, more map[string]string) error {
	for i := range c.count {
		service := filepath.Join(dir, c.child(i))
		if err := os.Mkdir(service, 0o700); err != nil {
			return err
		}
		files := map[string]string{"run": "#!/bin/sh\nexec " + strings.Join(c.args(i), " ") + "\n"}
		maps.Copy(files, more)
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(service, name), []byte(text), 0o700); err != nil {
				return err
			}
		}
	}
	return nil
}

func supervisord() peer {
	return peer{name: "supervisord", debian: "supervisor", needs: []string{"supervisord"}, end: syscall.SIGTERM, every: 10, command: func(c crew, dir string) ([]string, error) {
		config := fmt.Sprintf("[supervisord]\nnodaemon=true\nuser=%d\nlogfile=%s/log\npidfile=%s/pid\nchildlogdir=%s\n",
			os.Getuid(), dir, dir, dir)
		for i := range c.count {
			config += fmt.Sprintf("[program:%s]\ncommand=%s\nautorestart=true\n", c.child(i), strings.Join(c.args(i), " "))
		}
		file := filepath.Join(dir, "supervisord.conf")
		return []string{"supervisord", "-c", file}, os.WriteFile(file, []byte(config), 0o600)
	}}
}

// features are what our supervisor does in addition to the guardian and the events.
type features struct {
	delay  time.Duration
	probes bool   // readiness and liveness
	admin  bool   // control service, metrics, logs and state directory
	events string // path of a file or pipe; empty: a file that is not read
}

func ours(name string, f features) peer {
	return peer{name: name, end: syscall.SIGTERM, every: 1, delay: f.delay, command: func(c crew, dir string) ([]string, error) {
		if f.events == "" {
			f.events = filepath.Join(dir, "events")
		}
		args := []string{
			c.lab.ours, "--replicas", fmt.Sprint(c.count), "--base-port", fmt.Sprint(c.basePort),
			"--restart-delay", f.delay.String(), "--events", f.events,
		}
		if f.probes {
			args = append(args, "--ready", "grpc", "--alive", "grpc", "--start-timeout", "30s")
		}
		if f.admin {
			args = append(args, "--control", "unix://"+filepath.Join(dir, "control"),
				"--metrics-addr", fmt.Sprintf("127.0.0.1:%d", c.lab.ports(1)),
				"--log-dir", filepath.Join(dir, "logs"), "--state-dir", filepath.Join(dir, "state"))
		}
		args = append(args, "--")
		return append(args, c.line(c.name+"-{index}", "{addr}")...), nil
	}}
}
