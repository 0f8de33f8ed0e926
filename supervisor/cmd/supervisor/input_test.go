package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestBadFlags(t *testing.T) {
	for _, tt := range []struct {
		args string
		want []string // source, value, what is allowed
	}{
		{"", []string{"no command", "-- COMMAND", "--config FILE"}},
		{"--base-port 70000 -- true", []string{"--base-port", "70000", "1 to 65535"}},
		{"--base-port x -- true", []string{"--base-port", "x", "1 to 65535"}},
		{"--base-port 65534 -- true", []string{"--base-port", "65534", "65533 or less"}},
		{"--base-port", []string{`--base-port ""`, "want 1 to 65535"}},
		{"--replicas 0 -- true", []string{"--replicas", "0", "1 to 1000"}},
		{"--replicas 1001 -- true", []string{"--replicas", "1001", "1 to 1000"}},
		{"--restart-delay 500 -- true", []string{"--restart-delay", "500", "with its unit"}},
		{"--restart-delay -1s -- true", []string{"--restart-delay", "-1s", "0s or more"}},
		{"--stop-timeout=-1s -- true", []string{"--stop-timeout", "-1s", "0s or more"}},
		{"--restart often -- true", []string{"--restart", "often", "always or never"}},
		{"--log-level loud -- true", []string{"--log-level", "loud", `"debug"`}},
		{"--colour -- true", []string{"unknown flag --colour", "--help"}},
		{"--config no/such.yaml", []string{"--config", "no/such.yaml", "no such file"}},
		{"-- no/such/program", []string{"COMMAND", "no/such/program", "want a program"}},
		{"-- guard", []string{"COMMAND", `"guard"`, "want a program"}},
		{"sh -c x -- y", []string{"unexpected argument sh", "COMMAND goes behind --"}},
		{"-- true {nmae}", []string{"COMMAND", "{nmae}", "{name}, {index}, {addr}, {port}"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			stderr := refused(t, strings.Fields(tt.args)...)
			if strings.Contains(stderr, "\n") {
				t.Errorf("more than one line:\n%s", stderr)
			}
			contains(t, stderr, tt.want)
		})
	}
}

func TestBadFile(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // position, value, what is allowed
	}{
		{"unknown key", "replicas: 3\ncomand: [true]\n", []string{":2:1: ", `"comand"`, allowedKeys}},
		{"key twice", "replicas: 3\nreplicas: 4\n", []string{":2:1: ", `"replicas"`, "already"}},
		{"no value", "command: [x]\nreplicas:\n", []string{":2:", "replicas has no value"}},
		{"no argument", "command: [x, ~]\n", []string{":1:14: ", "command[1] has no value"}},
		{"port", "command: [x]\nbase_port: 70000\n", []string{":2:12: ", "base_port", "70000", "1 to 65535"}},
		{"last port", "replicas: 3\nbase_port: 65534\ncommand: [x]\n", []string{":2:12: ", "65534", "65533 or less"}},
		{"replicas", "replicas: 0\n", []string{":1:11: ", "replicas", "0", "1 to 1000"}},
		{"a list for a number", "replicas: [1, 2]\n", []string{":1:11: ", "[1, 2]", "1 to 1000"}},
		{"duration without unit", "restart_delay: 500\n", []string{":1:16: ", "500", "with its unit"}},
		{"negative duration", "stop_timeout: -1s\n", []string{":1:15: ", "-1s", "0s or more"}},
		{"restart", "restart: often\n", []string{":1:10: ", "often", "always or never"}},
		{"a text for the command", "command: true x\n", []string{":1:10: ", "true x", "a list of texts"}},
		{"a list for env", "env: [a]\n", []string{":1:6: ", "KEY: value"}},
		{"a list for the banner", "banner: [a]\n", []string{":1:9: ", "a text"}},
		{"empty command", "command: []\n", []string{":1:10: ", "no command", "a list of texts"}},
		{"no such program", "command:\n  - no/such/program\n", []string{":2:5: ", "no/such/program", "want a program"}},
		{"placeholder in the command", "command: [\"true\", \"{nmae}\"]\n", []string{":1:19: ", "{nmae}", "{name}, {index}, {addr}, {port}"}},
		{"NUL", "command: [\"true\", \"a\\0b\"]\n", []string{":1:19: ", `"a\x00b"`, "without a NUL"}},
		{"env sets ours", "command: [\"true\"]\nenv: {INCARNATION: 7}\n", []string{":2:", "INCARNATION", "ours to set"}},
		{"env name", "command: [\"true\"]\nenv: {\"A=B\": c}\n", []string{":2:", `"A=B"`, "without ="}},
		{"placeholder in env", "command: [\"true\"]\nenv:\n  A: \"{nmae}\"\n", []string{":3:6: ", "{nmae}", "{name}, "}},
		{"placeholder in the banner", "command: [\"true\"]\nbanner: \"{name}\"\n", []string{":2:9: ", "{name}", "{addrs}, {addr}"}},
		{"syntax", "command: [\"true\n", []string{":1:11: ", "double-quoted"}},
		{"no keys", "hello\n", []string{":1:1: ", "hello", "KEY: value"}},
		{"two documents", "replicas: 3\n---\nreplicas: 4\n", []string{":3:", "second document"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.text)
			first, excerpt, _ := strings.Cut(refused(t, "--config", path), "\n")
			contains(t, first, append(tt.want, path))
			contains(t, excerpt, []string{">  ", "^"})
		})
	}
	path := write(t, "base_port: 65534\n"+"command: [\"true\"]\n")
	contains(t, refused(t, "--config", path, "--replicas", "3"), []string{"--replicas: 3: want 2 or less"})
	for _, text := range []string{"", "# nothing\n", "replicas: 3\n"} {
		path := write(t, text)
		contains(t, refused(t, "--config", path), []string{path + ": no command", "a list of texts"})
	}
}

// refused runs the supervisor, which must exit with 2 and print nothing but
// what it returns, to stderr.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	p := start(t, "", args...)
	if code := p.ends(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if out := p.stdout.text(); out != "" {
		t.Errorf("stdout: %s", out)
	}
	return p.stderr.text()
}

func contains(t *testing.T, text string, parts []string) {
	t.Helper()
	for _, part := range append(parts, "") {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

// What looks like a number to YAML reaches the command as it was written.
func TestWordsAreTakenAsTheyStand(t *testing.T) {
	f, err := load(write(t, `
command: ["true", 1_000, 0x10, 012, 2.50, yes, "q\tx", 'a b', --port=80]
env:
  MODE: 0755
  LINES: |
    a
    b
`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := input{file: f}.cluster()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.replicas[0].Args, []string{"true", "1_000", "0x10", "012", "2.50", "yes", "q\tx", "a b", "--port=80"}; !slices.Equal(got, want) {
		t.Errorf("command %q, want %q", got, want)
	}
	for _, want := range []string{"MODE=0755", "LINES=a\nb\n"} {
		if !slices.Contains(c.replicas[0].Env, want) {
			t.Errorf("no %q in the environment", want)
		}
	}
}

func TestFlagsOverrideTheFile(t *testing.T) {
	f, err := load(write(t, "replicas: 5\nbase_port: 8000\nrestart_delay: 3s\nstop_timeout: 0s\ncommand: [no/such]\nenv: {A: \"{port}\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := input{flags: settings{Replicas: new(count(2))}, command: []string{"true", "{name}={addr}"}, file: f}.cluster()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.addrs, []string{"127.0.0.1:8000", "127.0.0.1:8001"}; !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	if got, want := c.replicas[1].Args, []string{"true", "b=127.0.0.1:8001"}; !slices.Equal(got, want) {
		t.Errorf("command %q, want %q", got, want)
	}
	if env := c.replicas[1].Env; !slices.Contains(env, "A=8001") || len(env) != len(os.Environ())+1 {
		t.Errorf("environment %q: want ours and A=8001", env)
	}
	if c.stopTimeout != 1 || c.policy.Delay.String() != "3s" || !c.listens {
		t.Errorf("got %+v: want a stop timeout of next to nothing, a delay of 3s, and that it listens", c)
	}
}

func TestCommittedClusterFile(t *testing.T) {
	path, err := filepath.Abs("../../../deploy/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("bin", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bin/counterd", nil, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := input{file: f}.cluster()
	if err != nil {
		t.Fatal(err)
	}
	contains(t, c.banner, []string{
		"static:///127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103 ", ` '{"crash_probability":1}' 127.0.0.1:7101 `,
	})
	if len(c.replicas) != 3 || !c.listens {
		t.Errorf("got %+v: want three replicas that listen", c)
	}
}

func TestAllowedKeysAreComplete(t *testing.T) {
	var keys []string
	for _, s := range []any{settings{}, content{}} {
		for f := range reflect.TypeOf(s).Fields() {
			if key := f.Tag.Get("yaml"); key != ",inline" {
				keys = append(keys, key)
			}
		}
	}
	if got := strings.Join(keys, ", "); got != allowedKeys {
		t.Errorf("the file has the keys %s, we say %s", got, allowedKeys)
	}
}

func TestExpand(t *testing.T) {
	values := []placeholder{{"name", "b"}, {"addr", "h:1"}}
	for _, tt := range []struct{ text, want, used, err string }{
		{"plain", "plain", "", ""},
		{"--x={name}@{addr}", "--x=b@h:1", "name addr", ""},
		{"${name} $x{} {Name} {name1} {{name}}", "${name} $x{} {Name} {name1} {b}", "name", ""},
		{`{"crash_probability":1}`, `{"crash_probability":1}`, "", ""},
		{"{port}", "", "", `"{port}": unknown placeholder {port}: want one of {name}, {addr}`},
	} {
		got, used, err := expand(tt.text, values)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("expand(%q): error %v, want %s", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want || strings.Join(used, " ") != tt.used {
			t.Errorf("expand(%q) = %q, %q, %v; want %q, %q", tt.text, got, used, err, tt.want, tt.used)
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
