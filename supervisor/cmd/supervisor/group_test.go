package main

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"example.com/crashlab/supervisor"
)

func mustCluster(t *testing.T, text string) *cluster {
	t.Helper()
	f, err := load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := input{file: f}.cluster()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each key of a group reaches the library.
func TestKeysOfAGroup(t *testing.T) {
	dir := t.TempDir()
	c := mustCluster(t, `
replicas: 2
host: "::1"
base_port: 8000
restart: on-failure
restart_delay: 10ms
backoff: {factor: 2, max: 1s, jitter: 0.5, reset: 3s}
limit: {exits: 5, window: 10s, then: stop-all}
ready: {kind: grpc, service: x, period: 20ms, timeout: 3s}
start_timeout: 4s
alive: {kind: tcp, period: 50ms, timeout: 40ms, threshold: 7}
stop_timeout: 6s
command: ["true", "{name}", "{{addr}}"]
env: {PORT: "{port}"}
clean_env: true
dir: `+dir+`
rlimits: {nofile: 10:20, core: 0, as: unlimited}
nice: 5
`)
	if len(c.groups) != 1 || c.groups[0].Count != 2 {
		t.Fatalf("groups %+v: want one of two", c.groups)
	}
	if got, want := c.groups[0].Policy, (supervisor.Policy{
		Restart: supervisor.RestartOnFailure, Delay: 10 * time.Millisecond,
		Backoff: supervisor.Backoff{Factor: 2, Max: time.Second, Jitter: 0.5, Reset: 3 * time.Second},
		Limit:   supervisor.Limit{Exits: 5, Window: 10 * time.Second, Then: supervisor.EscalationStopAll},
	}); got != want {
		t.Errorf("policy\n%+v, want\n%+v", got, want)
	}
	want := supervisor.Replica{
		Name: "b", Args: []string{"true", "b", "{addr}"}, Env: []string{"PORT=8001"}, Dir: dir, Addr: "[::1]:8001",
		StopTimeout: 6 * time.Second, StartTimeout: 4 * time.Second,
		Ready: supervisor.Probe{Kind: supervisor.ProbeGRPC, Service: "x", Period: 20 * time.Millisecond, Timeout: 3 * time.Second},
		Alive: supervisor.Probe{Kind: supervisor.ProbeTCP, Period: 50 * time.Millisecond, Timeout: 40 * time.Millisecond, Threshold: 7},
		Limits: supervisor.Limits{Nice: 5, Rlimits: map[string]supervisor.Rlimit{
			"nofile": {Soft: 10, Hard: 20}, "core": {}, "as": {Soft: supervisor.Unlimited, Hard: supervisor.Unlimited},
		}},
	}
	if got := c.groups[0].Replica(1); !reflect.DeepEqual(got, want) {
		t.Errorf("replica\n%+v, want\n%+v", got, want)
	}
}

// A group has what the file says beside the groups, unless it says otherwise.
func TestGroupsHaveDefaults(t *testing.T) {
	c := mustCluster(t, `
replicas: 1
restart_delay: 2s
alive: {kind: grpc, service: x}
command: ["true", "{name}"]
env: {A: a, B: b}
rlimits: {core: 0, nofile: 7}
groups:
  web:
    replicas: 2
    env: {B: "{addr}", C: c}
    rlimits: {nofile: 8}
  job:
    base_port: 7103
    restart: never
    alive: tcp
    ready: none
    command: ["true"]
`)
	var names, addrs []string
	for _, r := range c.replicas {
		names, addrs = append(names, r.Name), append(addrs, r.Addr)
	}
	if want := []string{"web-a", "web-b", "job-a"}; !slices.Equal(names, want) {
		t.Errorf("replicas %q, want %q", names, want)
	}
	if want := []string{"127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"}; !slices.Equal(addrs, want) {
		t.Errorf("addresses %q, want %q", addrs, want)
	}
	web, job := c.replicas[1], c.replicas[2]
	if got, want := web.Env, append(os.Environ(), "A=a", "B=127.0.0.1:7102", "C=c"); !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
	if want := (supervisor.Probe{Kind: supervisor.ProbeGRPC, Service: "x"}); web.Alive != want || web.Ready != want {
		t.Errorf("alive %+v, ready %+v: want %+v for both", web.Alive, web.Ready, want)
	}
	if job.Alive != (supervisor.Probe{Kind: supervisor.ProbeTCP}) || job.Ready != (supervisor.Probe{}) {
		t.Errorf("alive %+v, ready %+v: want tcp, and none", job.Alive, job.Ready)
	}
	if got := web.Limits.Rlimits; got["nofile"].Hard != 8 || len(got) != 2 {
		t.Errorf("limits %v: want core of the defaults and nofile of its own", got)
	}
	for i, want := range []supervisor.Policy{{Delay: 2 * time.Second}, {Delay: 2 * time.Second, Restart: supervisor.RestartNever}} {
		if got := c.groups[i].Policy; got != want {
			t.Errorf("policy of %s %+v, want %+v", c.groups[i].Name, got, want)
		}
	}
}

// Groups that use no port may have the same.
func TestGroupsWithoutAddresses(t *testing.T) {
	c := mustCluster(t, "command: [\"true\"]\ngroups:\n  one: {}\n  two: {clean_env: true}\n")
	if r := c.replicas[3]; r.Name != "two-a" || r.Addr != "" || r.Env == nil || len(r.Env) != 0 {
		t.Errorf("%+v: want two-a, without an address and with an empty environment", r)
	}
}

func TestFlagsThatGroupsRefuse(t *testing.T) {
	path := write(t, "groups:\n  one: {command: [\"true\"]}\n")
	for _, args := range [][]string{{"--replicas=2"}, {"--base-port=8000"}, {"--", "true"}} {
		contains(t, refused(t, append([]string{"--config", path}, args...)...), []string{"groups: set it there"})
	}
}

func TestOutcome(t *testing.T) {
	ready := 0
	o := newOutcome([]supervisor.Replica{{Name: "a"}, {Name: "b"}}, func() { ready++ })
	note := func(k supervisor.EventKind, replica string, code int) {
		o.note(supervisor.Event{Kind: k, Replica: replica, Exit: supervisor.Exit{Code: code}})
	}
	note(supervisor.EventReady, "a", 0)
	note(supervisor.EventReady, "a", 0)
	if ready != 0 {
		t.Error("all are ready before b is")
	}
	note(supervisor.EventReady, "b", 0)
	note(supervisor.EventReady, "b", 0)
	if ready != 1 {
		t.Errorf("told %d times that all are ready, want once", ready)
	}
	note(supervisor.EventFinished, "a", 0)
	if err := o.err(); err != nil {
		t.Errorf("error %v after a success", err)
	}
	note(supervisor.EventFinished, "a", 3)
	note(supervisor.EventFailed, "b", 4)
	if err := o.err(); err == nil || err.Error() != "2 replicas have failed: a (exit code 3), b (exit code 4)" {
		t.Errorf("error %v", err)
	}
	note(supervisor.EventLaunched, "b", 0)
	if err := o.err(); err == nil || err.Error() != "replica a (exit code 3) has failed" {
		t.Errorf("error %v", err)
	}
}

// One base port for all groups is for those whose replicas listen.
func TestGroupsThatDoNotListenShareNoPorts(t *testing.T) {
	c := mustCluster(t, `
base_port: 8000
groups:
  web: {command: ["true", "{addr}"]}
  worker: {command: ["true"]}
`)
	var addrs []string
	for _, r := range c.replicas {
		if r.Addr != "" {
			addrs = append(addrs, r.Addr)
		}
	}
	if want := []string{"127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:8002"}; !slices.Equal(addrs, want) {
		t.Errorf("addresses %q, want %q", addrs, want)
	}
}

// Scale finds no port that a launch would not: those above, of others, and ours.
func TestRoomOfAGroup(t *testing.T) {
	const addr = "command: [\"true\", \"{addr}\"]\n"
	for text, want := range map[string][]int{
		"command: [\"true\"]\n":     {1000},
		addr:                        {1000},
		addr + "base_port: 65530\n": {6},
		addr + "control: {addr: 127.0.0.1:7120}\n":                               {19},
		addr + "control: {addr: 127.0.0.1:7100}\n":                               {1000},
		addr + "control: {addr: unix:///tmp/x}\n":                                {1000},
		addr + "metrics_addr: 127.0.0.1:7105\n":                                  {4},
		addr + "metrics_addr: 127.0.0.2:7105\n":                                  {1000},
		addr + "metrics_addr: 0.0.0.0:7105\nmetrics_public: true\n":              {4},
		addr + "groups:\n  one: {}\n  two: {base_port: 7104}\n":                  {3, 1000},
		addr + "groups:\n  one: {base_port: 7110}\n  two: {}\n":                  {1000, 9},
		addr + "groups:\n  one: {}\n  two: {base_port: 7104, host: 127.0.0.2}\n": {1000, 1000},
		addr + "groups:\n  one: {}\n  two: {command: [\"true\"]}\n":              {1000, 1000},
	} {
		c := mustCluster(t, text)
		var got []int
		for _, g := range c.groups {
			got = append(got, g.Max)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: room for %v, want %v", text, got, want)
		}
	}
}

func TestUserOfAGroup(t *testing.T) {
	for user, allowed := range map[string]bool{
		strconv.Itoa(os.Geteuid()): true, "0": os.Geteuid() == 0, "54321": os.Geteuid() == 0, "-1": false,
	} {
		f, err := load(write(t, "command: [\"true\"]\nuser: "+user+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := input{file: f}.cluster()
		if (err == nil) != allowed || err == nil && c.replicas[0].Limits.User != user {
			t.Errorf("user %s: %v, want it allowed: %v", user, err, allowed)
		}
	}
}
