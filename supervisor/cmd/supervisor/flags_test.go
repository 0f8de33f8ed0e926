package main

import (
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
		{"--base-port", []string{`--base-port ""`, "want a whole number from 1 to 65535"}},
		{"--replicas 0 -- true", []string{"--replicas", "0", "1 to 1000"}},
		{"--replicas 1001 -- true", []string{"--replicas", "1001", "1 to 1000"}},
		{"--name a/b -- true", []string{"--name", "a/b", "letters, digits"}},
		{"--name x --replicas 2 -- true", []string{"--name", `"x"`, "one replica alone, not 2"}},
		{"--restart-delay 500 -- true", []string{"--restart-delay", "500", "with its unit"}},
		{"--restart-delay -1s -- true", []string{"--restart-delay", "-1s", "0s or more"}},
		{"--stop-timeout=-1s -- true", []string{"--stop-timeout", "-1s", "0s or more"}},
		{"--restart often -- true", []string{"--restart", "often", "always, on-failure or never"}},
		{"--log-level loud -- true", []string{"--log-level", "loud", "debug, info"}},
		{"--config=", []string{"--config: want a value"}},
		{"--events= -- true", []string{"--events: want a value"}},
		{"ctl get a b", []string{"unexpected argument b; see supervisor ctl get --help"}},
		{"ctl get", []string{"want <name>; see supervisor ctl get --help"}},
		{"ctl", []string{"want a command; see supervisor ctl --help"}},
		{"--tls-cert no --tls-key no -- true", []string{"--tls-cert", "open no: no such file"}},
		{"--max-starting 0 -- true", []string{"--max-starting", "0", "1 to 1000"}},
		{"--colour -- true", []string{"unknown flag --colour; see supervisor --help"}},
		{"--replcas 3 -- true", []string{"unknown flag --replcas: did you mean --replicas? See supervisor --help"}},
		{"ctrl list", []string{"unknown command ctrl: did you mean ctl? See supervisor --help"}},
		{"ctl lst", []string{"unknown command lst: did you mean list? See supervisor ctl --help"}},
		{"ctl list --wid", []string{"unknown flag --wid: did you mean --wide? See supervisor ctl list --help"}},
		{"--config no/such.yaml", []string{"--config", "no/such.yaml", "no such file"}},
		{"-- no/such/program", []string{"COMMAND", "no/such/program", "want a program"}},
		{"-- guard", []string{"COMMAND", `"guard"`, "want a program"}},
		{"sh -c x -- y", []string{"unexpected argument sh", "COMMAND goes behind --"}},
		{"--host localhost -- true", []string{"--host", "localhost", "an IP address"}},
		{"--ready https -- true", []string{"--ready", "https", "tcp, http, grpc, notify or none"}},
		{"--alive notify -- true", []string{"--alive", "notify", "tcp, http, grpc or none"}},
		{"--control 0.0.0.0:7100 -- true", []string{"--control", "0.0.0.0:7100", "loopback"}},
		{"--tls-key k -- true", []string{"--tls-key", "want its certificate in --tls-cert"}},
		{"--tls-cert k -- true", []string{"--tls-cert", "want its key in --tls-key"}},
		{"--tls-client-ca k -- true", []string{"--tls-client-ca", "want --tls-cert and --tls-key with it"}},
		{"--tls-ca= -- true", []string{"--tls-ca: want a value"}},
		{"--metrics-addr 0.0.0.0:7190 -- true", []string{"--metrics-addr", "0.0.0.0:7190", "--tls-cert", "--insecure"}},
		{"--control 127.0.0.1:7101 -- true {addr}", []string{"--control", "127.0.0.1:7101", "replica a's"}},
		{"-- true {nmae}", []string{"COMMAND", "{nmae}", "{name}, {index}, {addr}, {port}"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			stderr := refused(t, strings.Fields(tt.args)...)
			if strings.Contains(stderr, "\n") {
				t.Errorf("more than one line:\n%s", stderr)
			}
			contains(t, stderr, tt.want)
		})
	}
}

// The excerpt shows the file unchanged, with the caret in the right place.
func TestExcerpt(t *testing.T) {
	path := write(t, "command: [\"true\"]\r\nenv: {Ä: \"ü\t\", \"A=B\": c}\nreplicas: 3\n\n")
	_, excerpt, _ := strings.Cut(refused(t, "--config", path), "\n")
	want := "   1 | command: [\"true\"]\n>  2 | env: {Ä: \"ü\t\", \"A=B\": c}\n       " + "           \t   ^" + "\n   3 | replicas: 3"
	if excerpt != want {
		t.Errorf("got\n%s\nwant\n%s", excerpt, want)
	}
}

// refused runs the supervisor, which must exit with 2 and print only to stderr. It returns what was
// printed.
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
