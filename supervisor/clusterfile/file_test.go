package clusterfile

import (
	"encoding"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/spec"
)

// bad reads a cluster file that has a mistake.
func bad(t *testing.T, path string, f Flags) *inputfile.Mistake {
	t.Helper()
	c, err := Read(path, f)
	m, ok := errors.AsType[*inputfile.Mistake](err)
	if c != nil || !ok {
		t.Fatalf("got %v, %v: want a mistake", c, err)
	}
	return m
}

func mustRead(t *testing.T, text string) *Cluster {
	t.Helper()
	c, err := Read(write(t, text), Flags{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func contains(t *testing.T, text string, parts []string) {
	t.Helper()
	for _, part := range append(parts, "") {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

func TestBadFile(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // position, value, what is allowed
	}{
		{"unknown key", "replicas: 3\ncomand: [true]\n", []string{":2:1: ", `"comand"`, "want one of replicas, name, ", ", banner"}},
		{"key twice", "replicas: 3\nreplicas: 4\n", []string{":2:1: ", `"replicas"`, "already"}},
		{"no value", "command: [x]\nreplicas:\n", []string{":2:", "replicas has no value"}},
		{"no argument", "command: [x, ~]\n", []string{":1:14: ", "command[1] has no value"}},
		{"port", "command: [x]\nbase_port: 70000\n", []string{":2:12: ", "base_port", "70000", "1 to 65535"}},
		{"last port", "replicas: 3\nbase_port: 65534\ncommand: [x]\n", []string{":2:12: ", "65534", "65533 or less"}},
		{"replicas", "replicas: 0\n", []string{":1:11: ", "replicas", "0", "1 to 1000"}},
		{"a list for a number", "replicas: [1, 2]\n", []string{":1:11: ", "[1, 2]", "1 to 1000"}},
		{"duration without unit", "restart_delay: 500\n", []string{":1:16: ", "500", "with its unit"}},
		{"negative duration", "stop_timeout: -1s\n", []string{":1:15: ", "-1s", "0s or more"}},
		{"restart", "restart: often\n", []string{":1:10: ", "often", "always, on-failure or never"}},
		{"a text for the command", "command: true x\n", []string{":1:10: ", "true x", "a list of texts"}},
		{"a list for env", "env: [a]\n", []string{":1:6: ", "KEY: value"}},
		{"a list for the banner", "banner: [a]\n", []string{":1:9: ", "a text"}},
		{"empty command", "command: []\n", []string{":1:10: ", "no command", "a list of texts"}},
		{"no such program", "command:\n  - no/such/program\n", []string{":2:5: ", "no/such/program", "want a program"}},
		{"placeholder in the command", "command: [\"true\", \"{nmae}\"]\n", []string{":1:19: ", "{nmae}", "{name}, {index}, {addr}, {port}"}},
		{"NUL", "command: [\"true\", \"a\\0b\"]\n", []string{":1:19: ", `"a\x00b"`, "without a NUL"}},
		{"env sets ours", "command: [\"true\"]\nenv: {CRASHLAB_INCARNATION: 7}\n", []string{":2:7: ", "CRASHLAB_INCARNATION", "ours to set"}},
		{"env name", "command: [\"true\"]\nenv: {\"A=B\": c}\n", []string{":2:7: ", `"A=B"`, "without ="}},
		{"placeholder in env", "command: [\"true\"]\nenv:\n  A: \"{nmae}\"\n", []string{":3:6: ", "{nmae}", "{name}, "}},
		{"placeholder in the banner", "command: [\"true\"]\nbanner: \"{name}\"\n", []string{":2:9: ", "{name}", "{addrs}, {addr}"}},
		{"escape", "command: [\"true\"]\nbanner: \"{{name}} {addr}\"\n", []string{":2:9: ", "{addr}", "no such address"}},
		{"unknown key inside", "command: [\"true\"]\nready: {knid: tcp}\n", []string{":2:9: ", `"knid"`, "want one of kind, service, path, period, timeout, threshold, terminate"}},
		{"unknown key of a group", "groups:\n  web: {comand: [\"true\"]}\n", []string{":2:9: ", `"comand"`, "want one of replicas, ", ", user"}},
		{"anchor", "command: &c [\"true\"]\n", []string{":1:10: ", "&", "without anchors"}},
		{"kind", "ready: https\n", []string{":1:8: ", "ready", "https", "tcp, http, grpc, notify or none"}},
		{"path of tcp", "command: [\"true\"]\nalive: {kind: tcp, path: /}\n", []string{":2:26: ", "alive.path", "not http"}},
		{"relative path", "command: [\"true\"]\nalive: {kind: http, path: x}\n", []string{":2:27: ", "alive.path", `"x"`, "/healthz"}},
		{"ready that terminates", "command: [\"true\"]\nready: {kind: tcp, terminate: true}\n", []string{":2:31: ", "ready.terminate", "alive"}},
		{"signal", "command: [\"true\"]\nstop: {signal: KILLL}\n", []string{":2:16: ", "stop.signal", `"KILLL"`, "TERM"}},
		{"stop target", "command: [\"true\"]\nstop: {to: all}\n", []string{":2:12: ", "stop.to", `"all"`, "group or leader"}},
		{"no kind", "command: [\"true\"]\nalive: {period: 1s}\n", []string{":2:1: ", "alive: no kind", "tcp, http, grpc"}},
		{"alive by notify", "command: [\"true\"]\nalive: notify\n", []string{":2:8: ", "notify", "tcp, http, grpc or none"}},
		{"service of tcp", "command: [\"true\"]\nready: {kind: tcp, service: x}\n", []string{":2:29: ", "ready.service", "not grpc"}},
		{"alive slower than its period", "command: [\"true\"]\nalive: {kind: tcp, period: 100ms, timeout: 1s}\n", []string{":2:44: ", "alive.timeout: 1s", "100ms, or less"}},
		{"period", "command: [\"true\"]\nalive: {kind: tcp, period: 1ms}\n", []string{":2:28: ", "alive.period: 1ms", "10ms or more"}},
		{"threshold of ready", "command: [\"true\"]\nready: {kind: tcp, threshold: 2}\n", []string{":2:31: ", "ready.threshold", "want none"}},
		{"factor", "backoff: {factor: 0.5}\n", []string{":1:19: ", "backoff.factor", "0.5", "1 to 1000"}},
		{"factor of no delay", "command: [\"true\"]\nrestart_delay: 0s\nbackoff: {factor: 2}\n", []string{":2:16: ", "restart_delay", "want more"}},
		{"jitter", "backoff: {jitter: 2}\n", []string{":1:19: ", "backoff.jitter", `"2"`, "0 to 1"}},
		{"limit without exits", "command: [\"true\"]\nlimit: {window: 1m}\n", []string{":2:1: ", "limit", "no exits"}},
		{"exits", "limit: {exits: 101}\n", []string{":1:16: ", "limit.exits", "101", "1 to 100"}},
		{"then", "limit: {exits: 1, then: panic}\n", []string{":1:25: ", "limit.then", "panic", "isolate, stop-all or restart-all"}},
		{"rlimit", "command: [\"true\"]\nrlimits: {files: 10}\n", []string{":2:18: ", "rlimits.files", "nofile"}},
		{"rlimit's value", "command: [\"true\"]\nrlimits: {nofile: 20:10}\n", []string{":2:19: ", "rlimits.nofile", "soft 20", "at most hard, 10"}},
		{"nice", "nice: 20\n", []string{":1:7: ", "nice", "20", "-20 to 19"}},
		{"user", "command: [\"true\"]\nuser: nobody-has-this-name\n", []string{":2:7: ", "user", "nobody-has-this-name"}},
		{"dir", "command: [\"true\"]\ndir: no/such\n", []string{":2:6: ", "dir", "no/such", "want a directory"}},
		{"clean_env", "clean_env: yes\n", []string{":1:12: ", "clean_env", "yes", "true or false"}},
		{"host", "host: localhost\n", []string{":1:7: ", "host", "localhost", "an IP address"}},
		{"group without a command", "groups:\n  web: {replicas: 1}\n", []string{":2:3: ", "groups.web: no command"}},
		{"name in a group", "command: [\"true\"]\ngroups:\n  one: {name: x}\n", []string{":3:15: ", "groups.one.name", `"x"`, "without groups"}},
		{"name of several", "command: [\"true\"]\nname: x\nreplicas: 3\n", []string{":2:7: ", `"x"`, "one replica alone, not 3"}},
		{"group's name", "command: [\"true\"]\ngroups:\n  a/b: {replicas: 1}\n", []string{":3:3: ", `"a/b"`, "letters, digits"}},
		{"group named like a replica", "command: [\"true\"]\ngroups:\n  web-b: {}\n  web: {replicas: 2}\n", []string{":3:3: ", `groups: "web-b"`, "a replica of group web"}},
		{"group's port", "command: [\"true\", \"{addr}\"]\ngroups:\n  one: {}\n  two:\n    base_port: 7103\n", []string{":5:16: ", "groups.two.base_port: 7103", "group one has the ports 7101 to 7103"}},
		{"group's default port", "command: [\"true\", \"{addr}\"]\ngroups:\n  one: {}\n  two: {replicas: 1}\n", []string{":4:3: ", "groups.two.base_port: 7101", "group one has the ports 7101 to 7103"}},
		{"default of a group", "env: {A: \"{nmae}\"}\ngroups:\n  one: {command: [\"true\"]}\n", []string{":1:10: ", "env.A", "{nmae}"}},
		{"control's address", "control: {addr: 7100}\n", []string{":1:17: ", "control.addr", "7100", "HOST:PORT"}},
		{"control for all", "command: [\"true\"]\ncontrol: {addr: 0.0.0.0:7100}\n", []string{":2:17: ", "control.addr", "0.0.0.0:7100", "tls.cert and tls.key", "insecure: true"}},
		{"key without certificate", "command: [\"true\"]\ntls: {key: k}\n", []string{":2:12: ", "tls.key", "certificate"}},
		{"client CA without certificate", "command: [\"true\"]\ntls: {client_ca: x}\n", []string{":2:18: ", "tls.client_ca", "want --tls-cert and --tls-key"}},
		{"server name without CA", "command: [\"true\"]\ntls: {server_name: x}\n", []string{":2:20: ", "tls.server_name", "want a ca"}},
		{"no such certificate", "command: [\"true\"]\ntls: {cert: no/such, key: k}\n", []string{":2:13: ", "tls.cert", "no/such"}},
		{"CA that is none", "command: [\"true\"]\ntls: {ca: cluster.yaml}\n", []string{":2:11: ", "tls.ca", "cluster.yaml", "no certificate"}},
		{"control at a replica", "command: [\"true\", \"{addr}\"]\ncontrol: {addr: 127.0.0.1:7102}\n", []string{":2:17: ", "control.addr", "replica b's"}},
		{"control at a replica of another host", "command: [\"true\", \"{addr}\"]\ncontrol: {addr: 0.0.0.0:7102}\ninsecure: true\n", []string{":2:17: ", "control.addr", "replica b's"}},
		{"control at a replica by name", "command: [\"true\", \"{addr}\"]\ncontrol: {addr: \"localhost:7102\"}\n", []string{":2:17: ", "control.addr", `"127.0.0.1:7102"`, "replica b's"}},
		{"control at a replica on all hosts", "command: [\"true\", \"{addr}\"]\ncontrol: {addr: \":7102\"}\ninsecure: true\n", []string{":2:17: ", "control.addr", "replica b's"}},
		{"metrics at a replica by name", "command: [\"true\", \"{addr}\"]\nmetrics_addr: \"localhost:7102\"\n", []string{":2:15: ", "metrics_addr", "replica b's"}},
		{"metrics at control", "command: [\"true\"]\ncontrol: {addr: 127.0.0.1:7000}\nmetrics_addr: \"localhost:7000\"\n", []string{":3:15: ", "metrics_addr", `"localhost:7000"`, "the control service's"}},
		{"group on all hosts", "command: [\"true\", \"{addr}\"]\ngroups:\n  one: {}\n  two:\n    host: 0.0.0.0\n    base_port: 7103\n", []string{":6:16: ", "groups.two.base_port: 7103", "group one has the ports 7101 to 7103"}},
		{"metrics for all", "command: [\"true\"]\nmetrics_addr: 0.0.0.0:7190\n", []string{":2:15: ", "metrics_addr", "0.0.0.0:7190", "insecure: true"}},
		{"file mode", "file_mode: 0440\n", []string{":1:12: ", "file_mode", `"0440"`, "in octal", "such as 0640"}},
		{"overflow", "log_overflow: wait\n", []string{":1:15: ", "log_overflow", "wait", "block or drop"}},
		{"log size", "log_size: 1\n", []string{":1:11: ", "log_size", `"1"`, "2 to 10000"}},
		{"metrics", "metrics_addr: \":x\"\n", []string{":1:15: ", "metrics_addr", "HOST:PORT"}},
		{"syntax", "command: [\"true\n", []string{":1:11: ", "double-quoted"}},
		{"no colon", "command: [\"true\"]\nreplicas 3\n", []string{":2:1: ", `"replicas 3"`, "KEY: value"}},
		{"no keys", "hello\n", []string{":1:1: ", "hello", "KEY: value"}},
		{"two documents", "replicas: 3\n---\nreplicas: 4\n", []string{":3:", "second document"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, tt.text)
			m := bad(t, path, Flags{})
			contains(t, m.Error(), append(tt.want, path))
			contains(t, m.Excerpt, []string{">  ", "^"})
		})
	}
	path := write(t, "base_port: 65534\n"+"command: [\"true\"]\n")
	contains(t, bad(t, path, Flags{Group: groupSettings{Replicas: new(count(3))}}).Error(), []string{"--replicas: 3: want 2 or less"})
	for _, text := range []string{"", "# nothing\n", "replicas: 3\n"} {
		path := write(t, text)
		contains(t, bad(t, path, Flags{}).Error(), []string{path + ": no command", "a list of texts"})
	}
}

// Values that look like numbers to YAML keep the text that is in the file.
func TestScalarsKeepTheirText(t *testing.T) {
	c := mustRead(t, `
command: ["true", 1_000, 0x10, 012, 2.50, yes, "q\tx", 'a b', --port=80]
env:
  MODE: 0755
  LINES: |
    a
    b
`)
	if got, want := c.Replicas[0].Args, []string{"true", "1_000", "0x10", "012", "2.50", "yes", "q\tx", "a b", "--port=80"}; !slices.Equal(got, want) {
		t.Errorf("command %q, want %q", got, want)
	}
	for _, want := range []string{"MODE=0755", "LINES=a\nb\n"} {
		if !slices.Contains(c.Replicas[0].Env, want) {
			t.Errorf("no %q in the environment", want)
		}
	}
}

// Other machines can connect only with TLS, or if insecure is set. The flag --control can switch
// the control service off.
func TestExposed(t *testing.T) {
	const text = "command: [\"true\"]\ncontrol: {addr: 0.0.0.0:7100}\nmetrics_addr: 0.0.0.0:7190\n"
	for name, tc := range map[string]struct {
		text  string
		flags Flags
		works bool
	}{
		"neither":     {text, Flags{}, false},
		"by the file": {text + "insecure: true\n", Flags{}, true},
		"by the flag": {text, Flags{Insecure: true}, true},
		"without":     {"command: [\"true\"]\ncontrol: {addr: 0.0.0.0:7100}\n", Flags{Supervisor: supervisorSettings{Control: controlSettings{Addr: new(off)}}}, true},
	} {
		c, err := Read(write(t, tc.text), tc.flags)
		if (err == nil) != tc.works || err == nil && (c.Control == "") != (name == "without") {
			t.Errorf("%s: %v, want success %v", name, err, tc.works)
		}
	}
}

func TestFlagsOverrideTheFile(t *testing.T) {
	path := write(t, "replicas: 5\nbase_port: 8000\nrestart_delay: 3s\nstop_timeout: 0s\ncommand: [no/such]\nenv: {A: \"{port}\"}\n")
	c, err := Read(path, Flags{Group: groupSettings{Replicas: new(count(2))}, Command: []string{"true", "{name}={addr}"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.bound, []string{"127.0.0.1:8000", "127.0.0.1:8001"}; !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	if got, want := c.Replicas[1].Args, []string{"true", "b=127.0.0.1:8001"}; !slices.Equal(got, want) {
		t.Errorf("command %q, want %q", got, want)
	}
	if env := c.Replicas[1].Env; !slices.Contains(env, "A=8001") || len(env) != len(os.Environ())+1 {
		t.Errorf("environment %q: want the inherited one and A=8001", env)
	}
	if stop, delay := c.Replicas[1].StopTimeout, c.Groups[0].Policy.Delay; stop != 1 || delay != 3*time.Second {
		t.Errorf("stop timeout %v, delay %v: want 1ns and 3s", stop, delay)
	}
}

func TestCommittedClusterFile(t *testing.T) {
	text, err := os.ReadFile("../../deploy/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/bin", 0o700), os.WriteFile(dir+"/bin/counterd", nil, 0o700)); err != nil {
		t.Fatal(err)
	}
	c := readAs(t, dir+"/deploy/cluster.yaml", string(text), Flags{})
	contains(t, c.Banner, []string{
		" 127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103\n", ` '{"crash_probability":1}' 127.0.0.1:7101 `,
	})
	if len(c.Replicas) != 3 || len(c.bound) != 3 {
		t.Errorf("got %+v: want three replicas that listen", c.Replicas)
	}
}

func TestOverflowOfGroups(t *testing.T) {
	c := mustRead(t, "command: [\"true\"]\nlog_overflow: drop\ngroups:\n  a: {}\n  b: {log_overflow: block}\n")
	for i, want := range []spec.Overflow{spec.OverflowDrop, spec.OverflowBlock} {
		if got := c.Groups[i].Replica(0).Overflow; got != want {
			t.Errorf("group %d: %v, want %v", i, got, want)
		}
	}
}

// The committed file shows every key, and its keys that are comments are valid.
func TestCommittedFileShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../deploy/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^# ( *[A-Za-z_]+:( .*)?)$`).ReplaceAll(text, []byte("$1"))
	f, err := load(inputfile.Read, write(t, string(shown)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		of      any
		parents []string
	}{
		{f.content, []string{"", "groups.site."}},
		{backoff{}, []string{"backoff."}},
		{limit{}, []string{"limit."}},
		{stop{}, []string{"stop."}},
		{probe{}, []string{"ready.", "alive.", "groups.web.ready.", "groups.web.alive."}},
	} {
		_, keys := inputfile.Field(reflect.ValueOf(tt.of), "")
		for _, key := range keys {
			if !slices.ContainsFunc(tt.parents, func(parent string) bool { return f.Has(parent + key) }) {
				t.Errorf("the file has no %s below %q", key, tt.parents)
			}
		}
	}
}

// The help text of a flag has the default that is used.
func TestHelpNamesTheDefaults(t *testing.T) {
	named := regexp.MustCompile(`\(default: ([^ )]+)\)$`)
	for _, defaults := range []any{defaults(), supervisorDefaults()} {
		for f, v := range reflect.ValueOf(defaults).Fields() {
			if v.IsZero() {
				continue
			}
			help := named.FindStringSubmatch(f.Tag.Get("help"))
			if help == nil {
				t.Errorf("the help of %s has no default", f.Name)
				continue
			}
			inHelp := reflect.New(v.Type().Elem())
			if err := inHelp.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(help[1])); err != nil || !reflect.DeepEqual(inHelp.Elem().Interface(), v.Elem().Interface()) {
				t.Errorf("the help of %s has the default %s, %v", f.Name, help[1], err)
			}
		}
	}
}
