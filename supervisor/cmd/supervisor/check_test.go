package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The output of check is what would run.
func TestCheckPrintsWhatWouldRun(t *testing.T) {
	t.Setenv("SECONDS_TO_SLEEP", "30")
	path := write(t, `
groups:
  sleepers:
    replicas: 2
    base_port: 7201
    command: [sleep, "${SECONDS_TO_SLEEP}"]
    env: {WHO: "{name} of $${USER:-all}"}
    env_file: sleep.env
    alive: tcp
control: {addr: 127.0.0.1:7200}
`)
	envFile := "# both are replaced or kept\n\nWHO=nobody\nGREETING='hello there'\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "sleep.env"), []byte(envFile), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if err := run([]string{"check", path, "--stop-timeout", "2s"}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	const want = `replicas:
  sleepers-a:
    group: sleepers
    addr: 127.0.0.1:7201
    command: [sleep, "30"]
    env:
      GREETING: hello there
      WHO: sleepers-a of ${USER:-all}
    restart: always
    restart_delay: 500ms
    ready: tcp
    alive: tcp
    stop_timeout: 2s
  sleepers-b:
    group: sleepers
    addr: 127.0.0.1:7202
`
	got := stdout.String()
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "control: 127.0.0.1:7200\n") || stderr.Len() > 0 {
		t.Errorf("got %s%s, want it to begin with\n%s", got, stderr.String(), want)
	}
}

// The effective stop timeout is printed, whichever key sets it.
func TestCheckPrintsTheStopTimeout(t *testing.T) {
	for key, want := range map[string]string{"stop_timeout: 4s": "4s", "stop: {timeout: 3s}": "3s", "stop_timeout: 0s": "0s", "stop: {signal: INT}": "5s"} {
		var stdout bytes.Buffer
		if err := run([]string{"check", write(t, "replicas: 1\ncommand: [\"true\"]\n"+key+"\n")}, &stdout, &stdout); err != nil {
			t.Fatal(err)
		}
		contains(t, stdout.String(), []string{"stop_timeout: " + want + "\n"})
	}
}

func TestCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"bad.env": "A=1\nno variable\n", "ours.env": "SUPERVISOR_ID=1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string][]string{
		"replicas: 0\ncommand: [true]\n":                                     {":1:11: replicas", `"0"`, "1 to 1000"},
		"command: [\"true\", --addr={addr}]\n":                               {":1:", `want quotes around a text with braces, such as "{addr}"`},
		"command: [\"true\", \"${NO_SUCH_VARIABLE}\"]\n":                     {"command[1]", "the environment has no NO_SUCH_VARIABLE", "$${NO_SUCH_VARIABLE}"},
		"command: [\"true\"]\nenv_file: " + filepath.Join(dir, "bad.env"):    {"env_file", "bad.env:2", `"no variable"`, "want NAME=VALUE"},
		"command: [\"true\"]\nenv_file: " + filepath.Join(dir, "ours.env"):   {":2:11: env_file", `"SUPERVISOR_ID"`, "ours to set"},
		"command: [\"true\"]\nenv_file: none.env\n":                          {":2:11: env_file", "none.env: no such file"},
		"command: [\"true\"]\nenv_file: " + dir + "\n":                       {"env_file", "a directory: want a regular file"},
		"command: [\"true\", \"{name}\", {addr}, \"{port}\"]\nreplicas: 2\n": {":1:", `want quotes around a text with braces`},
	} {
		var stdout, stderr bytes.Buffer
		err := run([]string{"check", write(t, text)}, &stdout, &stderr)
		if err == nil || stdout.Len() > 0 {
			t.Errorf("%q: got %v and %s", text, err, stdout.String())
			continue
		}
		contains(t, err.Error(), want)
	}
}
