package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/event"
)

// Groups start and stop in the order of the file, and the status shows what a group waits for.
func TestGroupsInOrder(t *testing.T) {
	gate := t.TempDir() + "/gate"
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	c := startIn(t, t.TempDir(), "", fmt.Sprintf(`
replicas: 1
groups:
  web: {after: [job], command: [sleep, "300"]}
  job: {restart: never, command: [sh, -c, 'read line <"$0"; exit "$line"', %q]}
  base: {command: [sleep, "300"]}
`, gate))
	c.file("e.jsonl", "launched job", func(text string) bool { return strings.Contains(text, `"kind":"launched","replica":"job-a"`) })
	for _, args := range [][]string{{"list"}, {"get", "web-a"}} {
		if out := c.ctl(args...); !strings.Contains(out, "waiting for job") {
			t.Errorf("ctl %s does not show what the group waits for:\n%s", args, out)
		}
	}
	if err := os.WriteFile(gate, []byte("0\n"), 0); err != nil {
		t.Fatal(err)
	}
	c.file("e.jsonl", "launched web", func(text string) bool { return strings.Contains(text, `"kind":"launched","replica":"web-a"`) })
	c.Process.Signal(syscall.SIGTERM)
	if code := c.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	var order []string
	for _, e := range c.events("e.jsonl") {
		switch e.Kind.String() {
		case "launched", "stopping", "exited", "finished":
			if e.Replica != "base-a" {
				order = append(order, e.Kind.String()+" "+e.Replica)
			}
		}
	}
	const want = "launched job-a, exited job-a, finished job-a, launched web-a, stopping web-a, exited web-a"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Changes to other groups do not launch a group that still waits.
func TestReloadDoesNotEndTheWait(t *testing.T) {
	c := startIn(t, t.TempDir(), "", `
replicas: 1
groups:
  web: {after: [job], command: [sleep, "300"]}
  job: {restart: never, command: [sleep, "300"]}
  base: {command: [sleep, "300"]}
`)
	c.file("e.jsonl", "ready base", func(text string) bool { return strings.Contains(text, `"kind":"ready","replica":"base-a"`) })
	for _, args := range [][]string{
		{"scale", "--group", "base", "2"}, {"set-policy", "--group", "base", "--restart-delay", "1s"},
		{"reload", "--wait=0s"}, {"rolling-restart", "--wait=0s", "--all"},
	} {
		c.ctl(args...)
		if out := c.ctl("get", "web-a"); !strings.Contains(out, "waiting for job") {
			t.Fatalf("after ctl %s:\n%s", args, out)
		}
	}
	text, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.config, []byte(strings.Replace(string(text), "after: [job]", "nice: 1", 1)), 0); err != nil {
		t.Fatal(err)
	}
	c.ctl("reload")
	c.Process.Signal(syscall.SIGTERM)
	if code := c.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	launches := 0
	for _, e := range c.events("e.jsonl") {
		if e.Kind == event.KindLaunched && e.Replica == "web-a" {
			launches++
		}
	}
	if launches != 1 {
		t.Errorf("%d launches after the wait, want 1", launches)
	}
}

// A new replica takes the address of another one after that has ended.
func TestReloadFreesAddressesForNewReplicas(t *testing.T) {
	base := freePorts(t, 2)
	const text = `
replicas: 1
stop_timeout: 1h
command: [sh, -c, 'trap "exit" TERM; echo up; while :; do sleep 0.01; done', "{addr}"]
`
	old := fmt.Sprintf("groups: {x: {base_port: %d}}\n", base)
	c := startIn(t, t.TempDir(), "", text+old)
	c.file("x-a.log", "start", lines(1))
	have, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	with := fmt.Sprintf("groups: {x: {base_port: %d}, y: {base_port: %d}}\n", base+1, base)
	if err := os.WriteFile(c.config, []byte(strings.Replace(string(have), old, with, 1)), 0); err != nil {
		t.Fatal(err)
	}
	c.ctl("reload")
	c.Process.Signal(syscall.SIGTERM)
	if code := c.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	var order []string
	for _, e := range c.events("e.jsonl") {
		if e.Kind == event.KindLaunched || e.Kind == event.KindExited {
			order = append(order, fmt.Sprint(e.Kind, " ", e.Replica))
		}
	}
	const want = "launched x-a, exited x-a, launched x-a, launched y-a"
	if got := strings.Join(order, ", "); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
