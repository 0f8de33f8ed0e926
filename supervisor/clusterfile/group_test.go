package clusterfile

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// Each key of a group is passed to the library.
func TestKeysOfAGroup(t *testing.T) {
	dir := t.TempDir()
	c := mustRead(t, `
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
	if len(c.Groups) != 1 || c.Groups[0].Count != 2 {
		t.Fatalf("groups %+v: want one of two", c.Groups)
	}
	if got, want := c.Groups[0].Policy, (restart.Policy{
		Mode: restart.ModeOnFailure, Delay: 10 * time.Millisecond,
		Backoff: restart.Backoff{Factor: 2, Max: time.Second, Jitter: 0.5, Reset: 3 * time.Second},
		Limit:   restart.Limit{Exits: 5, Window: 10 * time.Second, Then: restart.EscalationStopAll},
	}); got != want {
		t.Errorf("policy\n%+v, want\n%+v", got, want)
	}
	want := spec.Replica{
		Name: "b", Args: []string{"true", "b", "{addr}"}, Env: []string{"PORT=8001"}, Dir: dir, Addr: "[::1]:8001",
		StopTimeout: 6 * time.Second, StartTimeout: 4 * time.Second,
		Ready: spec.Probe{Kind: spec.ProbeGRPC, Service: "x", Period: 20 * time.Millisecond, Timeout: 3 * time.Second},
		Alive: spec.Probe{Kind: spec.ProbeTCP, Period: 50 * time.Millisecond, Timeout: 40 * time.Millisecond, Threshold: 7},
		Limits: spec.Limits{Nice: 5, Rlimits: map[string]spec.Rlimit{
			"nofile": {Soft: 10, Hard: 20}, "core": {}, "as": {Soft: spec.Unlimited, Hard: spec.Unlimited},
		}},
	}
	if got := c.Groups[0].Replica(1); !reflect.DeepEqual(got, want) {
		t.Errorf("replica\n%+v, want\n%+v", got, want)
	}
}

// The name of a single replica may come from a variable, such as the name of a pod.
func TestNameOfTheOnlyReplica(t *testing.T) {
	t.Setenv("POD_NAME", "counter-0")
	c := mustRead(t, "name: ${POD_NAME}\ncommand: [\"true\", \"{name}\", \"{addr}\"]\n")
	if g := c.Groups[0]; g.Count != 1 || g.Max != 1 {
		t.Errorf("%d replicas, %d at most: want 1", g.Count, g.Max)
	}
	if r := c.Groups[0].Replica(0); r.Name != "counter-0" || r.Args[1] != "counter-0" {
		t.Errorf("name %q, arguments %q", r.Name, r.Args)
	}
}

// Keys at the top level are the defaults of groups.
func TestGroupsHaveDefaults(t *testing.T) {
	c := mustRead(t, `
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
	for _, r := range c.Replicas {
		names, addrs = append(names, r.Name), append(addrs, r.Addr)
	}
	if want := []string{"web-a", "web-b", "job-a"}; !slices.Equal(names, want) {
		t.Errorf("replicas %q, want %q", names, want)
	}
	if want := []string{"127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"}; !slices.Equal(addrs, want) {
		t.Errorf("addresses %q, want %q", addrs, want)
	}
	web, job := c.Replicas[1], c.Replicas[2]
	if got, want := web.Env, append(os.Environ(), "A=a", "B=127.0.0.1:7102", "C=c"); !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
	if want := (spec.Probe{Kind: spec.ProbeGRPC, Service: "x"}); web.Alive != want || web.Ready != want {
		t.Errorf("alive %+v, ready %+v: want %+v for both", web.Alive, web.Ready, want)
	}
	if job.Alive != (spec.Probe{Kind: spec.ProbeTCP}) || job.Ready != (spec.Probe{}) {
		t.Errorf("alive %+v, ready %+v: want tcp, and none", job.Alive, job.Ready)
	}
	if got := web.Limits.Rlimits; got["nofile"].Hard != 8 || len(got) != 2 {
		t.Errorf("limits %v: want core of the defaults and nofile of its own", got)
	}
	for i, want := range []restart.Policy{{Delay: 2 * time.Second}, {Delay: 2 * time.Second, Mode: restart.ModeNever}} {
		if got := c.Groups[i].Policy; got != want {
			t.Errorf("policy of %s %+v, want %+v", c.Groups[i].Name, got, want)
		}
	}
}

// A group's stop_timeout and its stop override those at the top level, whichever of the two keys
// the top level uses for the timeout.
func TestStopTimeoutOfAGroup(t *testing.T) {
	const second = time.Second
	for _, tt := range []struct {
		top, group string
		flag       *duration
		want       time.Duration
	}{
		{"stop: {signal: INT, timeout: 2s}", "stop_timeout: 60s", nil, 60 * second},
		{"stop: {signal: INT, timeout: 2s}", "stop_timeout: 60s", new(duration(7 * second)), 7 * second},
		{"stop: {signal: INT, timeout: 2s}", "nice: 1", nil, 2 * second},
		{"stop_timeout: 2s", "stop: {signal: INT, timeout: 60s}", nil, 60 * second},
		{"stop_timeout: 2s", "stop: {signal: INT}", nil, 2 * second},
		{"stop: {signal: TERM, timeout: 2s}", "stop: {signal: INT}\n    stop_timeout: 60s", nil, 60 * second},
		{"stop: {timeout: 2s}\nstop_timeout: 3s", "stop: {signal: INT}\n    stop_timeout: 60s", nil, 60 * second},
	} {
		text := fmt.Sprintf("command: [\"true\"]\n%s\ngroups:\n  db:\n    %s\n", tt.top, tt.group)
		c, err := Read(write(t, text), Flags{Group: groupSettings{StopTimeout: tt.flag}})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if r := c.Replicas[0]; r.StopTimeout != tt.want || r.StopSignal != syscall.SIGINT && tt.group != "nice: 1" {
			t.Errorf("%s: signal %v after %v, want SIGINT and %v", text, r.StopSignal, r.StopTimeout, tt.want)
		}
	}
}

// Two timeouts are rejected if none of them overrides the other.
func TestTwoStopTimeouts(t *testing.T) {
	const both = "want one of it and stop.timeout, not both"
	for _, tt := range []struct {
		text string
		flag *duration
		want []string
	}{
		{"stop_timeout: 1s\nstop: {timeout: 2s}\n", nil, []string{":2:15: ", "stop_timeout: " + both}},
		{"groups:\n  db: {stop: {timeout: 2s}, stop_timeout: 1s}\n", nil, []string{":3:43: ", "groups.db.stop_timeout: " + both}},
		{"stop_timeout: 1s\nstop: {timeout: 2s}\ngroups:\n  db: {}\n", nil, []string{":2:15: ", "stop_timeout: " + both}},
		{"stop: {timeout: 2s}\n", new(duration(time.Second)), []string{"--stop-timeout: the cluster file has stop.timeout: set it there"}},
	} {
		path := write(t, "command: [\"true\"]\n"+tt.text)
		contains(t, bad(t, path, Flags{Group: groupSettings{StopTimeout: tt.flag}}).Error(), tt.want)
	}
}

// The default of ready is alive.
func TestReadyDefaultsToAlive(t *testing.T) {
	c := mustRead(t, "command: [\"true\"]\nalive: {kind: http, path: /healthz, period: 100ms, timeout: 50ms}\n")
	if got, want := c.Replicas[0].Ready, (spec.Probe{Kind: spec.ProbeHTTP, Path: "/healthz"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The program is looked up in the PATH of the replica.
func TestProgramInThePathOfItsReplica(t *testing.T) {
	home := atHome(t)
	for text, found := range map[string]bool{
		"command: [tool]\n": false,
		"command: [tool]\nenv: {PATH: \"/nowhere:" + home + "/bin\"}\n":             true,
		"command: [tool]\nenv: {PATH: bin}\ndir: " + home + "\n":                    true,
		"command: [tool]\nenv: {PATH: bin}\n":                                       false,
		"command: [sh]\nenv: {PATH: \"" + home + "/bin\"}\n":                        false,
		"command: [sh]\nenv: {PATH: \"\"}\n":                                        true,
		"command: [tool]\nenv_file: " + home + "/etc/path.env\nclean_env: true\n":   true,
		"command: [tool]\nenv: {PATH: /bin}\nenv_file: " + home + "/etc/path.env\n": false,
	} {
		if err := os.WriteFile(home+"/etc/path.env", []byte("PATH="+home+"/bin"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(write(t, text), Flags{}); (err == nil) != found {
			t.Errorf("%q: %v, want it found: %v", text, err, found)
		}
	}
}

// Groups that do not use ports may have the same base port.
func TestGroupsWithoutAddresses(t *testing.T) {
	c := mustRead(t, "command: [\"true\"]\ngroups:\n  one: {}\n  two: {clean_env: true}\n")
	if r := c.Replicas[3]; r.Name != "two-a" || r.Addr != "" || r.Env == nil || len(r.Env) != 0 {
		t.Errorf("%+v: want two-a, without an address and with an empty environment", r)
	}
}

func TestFlagsThatGroupsRefuse(t *testing.T) {
	path := write(t, "groups:\n  one: {command: [\"true\"]}\n")
	for want, f := range map[string]Flags{
		"--replicas":  {Group: groupSettings{Replicas: new(count(2))}},
		"--base-port": {Group: groupSettings{BasePort: new(port(8000))}},
		"COMMAND":     {Command: []string{"true"}},
	} {
		contains(t, bad(t, path, f).Error(), []string{want + ": the cluster file has groups: set it there"})
	}
}

// Groups that do not use ports do not count when groups share a base port.
func TestGroupsThatDoNotListenShareNoPorts(t *testing.T) {
	c := mustRead(t, `
base_port: 8000
groups:
  web: {command: ["true", "{addr}"]}
  worker: {command: ["true"]}
`)
	var addrs []string
	for _, r := range c.Replicas {
		if r.Addr != "" {
			addrs = append(addrs, r.Addr)
		}
	}
	if want := []string{"127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:8002"}; !slices.Equal(addrs, want) {
		t.Errorf("addresses %q, want %q", addrs, want)
	}
}

// The greatest size of a group excludes ports above 65535, of other groups, and of the supervisor.
func TestCapacityOfAGroup(t *testing.T) {
	const addr = "command: [\"true\", \"{addr}\"]\n"
	for text, want := range map[string][]int{
		"command: [\"true\"]\n":     {1000},
		addr:                        {1000},
		addr + "base_port: 65530\n": {6},
		addr + "control: {addr: 127.0.0.1:7120}\n":                               {19},
		addr + "control: {addr: \"localhost:7120\"}\n":                           {19},
		addr + "control: {addr: 127.0.0.1:7100}\n":                               {1000},
		addr + "control: {addr: unix:///tmp/x}\n":                                {1000},
		addr + "metrics_addr: 127.0.0.1:7105\n":                                  {4},
		addr + "metrics_addr: 127.0.0.2:7105\n":                                  {1000},
		addr + "metrics_addr: 0.0.0.0:7105\ninsecure: true\n":                    {4},
		addr + "groups:\n  one: {}\n  two: {base_port: 7104}\n":                  {3, 1000},
		addr + "groups:\n  one: {base_port: 7110}\n  two: {}\n":                  {1000, 9},
		addr + "groups:\n  one: {}\n  two: {base_port: 7104, host: 127.0.0.2}\n": {1000, 1000},
		addr + "groups:\n  one: {}\n  two: {command: [\"true\"]}\n":              {1000, 1000},
	} {
		c := mustRead(t, text)
		var got []int
		for _, g := range c.Groups {
			got = append(got, g.Max)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: capacity %v, want %v", text, got, want)
		}
	}
}

func TestUserOfAGroup(t *testing.T) {
	for user, allowed := range map[string]bool{
		strconv.Itoa(os.Geteuid()): true, "0": os.Geteuid() == 0, "54321": os.Geteuid() == 0, "-1": false,
		"0:0": os.Geteuid() == 0, strconv.Itoa(os.Geteuid()) + ":54321": true, "0:": false, "0:no-such-group": false, "no-such-user:0": false,
		"4294967295": false, "0:4294967295": false,
	} {
		c, err := Read(write(t, "command: [\"true\"]\nuser: "+user+"\n"), Flags{})
		if (err == nil) != allowed || err == nil && c.Replicas[0].Limits.User != user {
			t.Errorf("user %s: %v, want it allowed: %v", user, err, allowed)
		}
	}
}

func TestLongestLabel(t *testing.T) {
	for n, ok := range map[int]bool{maxLabel: true, maxLabel + 1: false} {
		if err := new(label).UnmarshalText([]byte(strings.Repeat("x", n))); (err == nil) != ok {
			t.Errorf("%d bytes: %v, want no error: %v", n, err, ok)
		}
	}
}

func TestName(t *testing.T) {
	for i, want := range map[int]string{0: "a", 25: "z", 26: "aa", 27: "ab", 51: "az", 52: "ba", 701: "zz", 702: "aaa"} {
		if got := name(i); got != want {
			t.Errorf("name(%d) = %q, want %q", i, got, want)
		}
	}
}

// The number of replicas in all groups together is limited.
func TestReplicasInAllAreBounded(t *testing.T) {
	text := "command: [\"true\"]\nreplicas: 1000\ngroups:\n"
	for i := range 11 {
		text += fmt.Sprintf("  g%d: {}\n", i)
	}
	m := bad(t, write(t, text), Flags{})
	if !strings.HasSuffix(m.Name, ":14:3") || m.What != "groups.g10: with it there are 11000 replicas: want at most 10000 in all" {
		t.Errorf("got %v", m)
	}
}

func TestAfter(t *testing.T) {
	const groups = "command: [\"true\"]\nreplicas: 1\ngroups: {web: {after: [%s]}, db: {after: [%s]}, job: {}}\n"
	c := mustRead(t, fmt.Sprintf(groups, "db, job", ""))
	if got := c.Groups[0].After; !slices.Equal(got, []string{"db", "job"}) {
		t.Errorf("after %q", got)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"a stranger", fmt.Sprintf(groups, "db, cache", ""), `groups.web.after[1]: "cache": want another group: one of db, job`},
		{"itself", fmt.Sprintf(groups, "web", ""), `groups.web.after[0]: "web": want another group: one of db, job`},
		{"each other", fmt.Sprintf(groups, "db", "web"), "groups.web.after: groups web, db come after each other: want an order"},
		{"the only one", "command: [x]\ngroups: {web: {after: [web]}}", `groups.web.after[0]: "web": want another group: there is none`},
		{"all groups", "command: [x]\nafter: [db]\ngroups: {db: {}, web: {}}", "after: want it in one of several groups"},
		{"no groups", "command: [x]\nafter: [db]", "after: want it in one of several groups"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(write(t, tt.text), Flags{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
