package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// With --wait a command succeeds only if the replicas become ready and stay ready; processes that
// exit do not.
func TestCtlWaitsUntilReplicasAreReady(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of waiting")
	}
	exits, base := filepath.Join(t.TempDir(), "exits"), freePorts(t, 3)
	web := spec.Group{Name: "web", Count: 1, Policy: restart.Policy{Delay: time.Hour}, Replica: func(i int) spec.Replica {
		addr := fmt.Sprintf("127.0.0.1:%d", base+i)
		return spec.Replica{
			Name: fmt.Sprint("web", i), Addr: addr, Ready: spec.Probe{Kind: spec.ProbeTCP},
			Args: []string{"sh", "-c", `[ -e "$0" ] && exit 3; ` + childMode + `=listen exec "$@"`, exits, os.Args[0], addr},
		}
	}}
	c := startControlled(t, loopback(t), web, sleepers("db", 1))
	for _, args := range []string{"restart web --wait=5m", "start web --wait=5m", "scale 2 --group web --wait=5m", "rolling-restart web"} {
		if _, stderr, code := runCtl(t, c.addr, strings.Fields(args)...); code != 0 || stderr != "" {
			t.Errorf("ctl %s: exit code %d, stderr %q, want success", args, code, stderr)
		}
	}
	if err := os.WriteFile(exits, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const starting = `web0 is (starting|waiting .*, last exit: exit code 3)` // it may not have exited yet
	for _, tt := range []struct{ args, want string }{
		{"restart web0 --wait=1s", starting},
		{"start web --wait=1s", starting},
		{"scale 3 --group web --wait=1s", `web0 is waiting .*, last exit: exit code 3`}, // it exited before the command
	} {
		_, stderr, code := runCtl(t, c.addr, strings.Fields(tt.args)...)
		if code != 1 || !regexp.MustCompile("not ready after 1s: .*"+tt.want).MatchString(stderr) {
			t.Errorf("ctl %s: exit code %d, stderr %q, want 1 and %s", tt.args, code, stderr, tt.want)
		}
		c.until(t, func(all []status.Status) bool { return all[0].State == status.StateWaiting && all[0].Last.Code == 3 })
	}
	if stdout, stderr, code := runCtl(t, c.addr, "restart", "db", "--wait", "-o", "json"); code != 0 || !strings.HasPrefix(stdout, "{") || strings.Contains(stdout, "web0") {
		t.Errorf("exit code %d, stdout %q, stderr %q, want db0 alone", code, stdout, stderr)
	}
}

// A reload after which replicas are not ready fails with the reason, and does not affect the
// others.
func TestCtlReloadOfABrokenGroup(t *testing.T) {
	for name, tt := range map[string]struct{ text, flag, want, list string }{
		"exits": {
			"replicas: 2\ncommand: [sh, -c, exit 3]\nready: notify\nrestart: never\n", "--wait=5m",
			"^supervisor: replica a: it did not become ready: exit code 3\n$", `b +ready +\d+ +1 .*`,
		},
		"hangs": {
			"replicas: 2\ncommand: [sleep, \"301\"]\nready: notify\n", "--wait=1s",
			"^supervisor: not ready after 1s: a is starting, last exit: SIGTERM, .* ago\n$", `b +ready +\d+ +1 .*`,
		},
		"is new": {
			"replicas: 1\ncommand: [sleep, \"300\"]\ngroups: {b: {}, new: {command: [sh, -c, exit 3], ready: notify, restart: never}}\n", "--wait=5m",
			"^supervisor: not ready: (b-a has only .*; )?new-a is finished, last exit: exit code 3, .* ago\n$", `b-a +b +ready +\d+ +1 .*`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := "unix://" + socketDir(t) + "/s"
			control := fmt.Sprintf("control: {addr: %q}\n", addr)
			text := "replicas: 2\ncommand: [sleep, \"300\"]\n"
			p := start(t, "", "--config", write(t, text+control))
			p.until(&p.stderr, "two replicas", func(text string) bool { return strings.Count(text, "launched: ") == 2 })
			if _, stderr, code := runCtl(t, addr, "reload"); code != 0 || stderr != "" {
				t.Fatalf("exit code %d, stderr %q, want success", code, stderr)
			}
			if err := os.WriteFile(p.config, []byte(tt.text+control), 0o600); err != nil {
				t.Fatal(err)
			}
			_, stderr, code := runCtl(t, addr, "reload", tt.flag)
			if code != 1 || !regexp.MustCompile(tt.want).MatchString(stderr) {
				t.Errorf("exit code %d, stderr %q, want 1 and %s", code, stderr, tt.want)
			}
			if list, _, _ := runCtl(t, addr, "list"); !regexp.MustCompile("(?m)^" + tt.list + "$").MatchString(list) {
				t.Errorf("got\n%s\nwant %s", list, tt.list)
			}
		})
	}
}

// A rolling restart ends at a replica that does not become ready again.
func TestCtlRollingRestartThatFails(t *testing.T) {
	for name, tt := range map[string]struct{ broken, flag, want string }{
		"exits": {"exit 3", "--wait=5m", "^supervisor: replica a: it did not become ready: exit code 3\n$"},
		"hangs": {"exec sleep 300", "--wait=1s", "^supervisor: not ready after 1s: a is starting(: .*refused)?, last exit: SIGTERM, .* ago\n$"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := socketDir(t)
			addr, broken := "unix://"+dir+"/s", dir+"/broken"
			script := `[ -e "$0" ] && ` + tt.broken + `; exec "$@"`
			p := start(t, "listen", "--config", write(t, fmt.Sprintf(
				"replicas: 2\nbase_port: %d\nrestart_delay: 1h\nready: tcp\ncontrol: {addr: %q}\ncommand: [sh, -c, %q, %q, %q, \"{addr}\"]\n",
				freePorts(t, 2), addr, script, broken, os.Args[0])))
			p.until(&p.stderr, "two ready replicas", func(text string) bool { return strings.Count(text, "ready: ") == 2 })
			if err := os.WriteFile(broken, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := runCtl(t, addr, "rolling-restart", "--all", tt.flag)
			if code != 1 || !regexp.MustCompile(tt.want).MatchString(stderr) || !strings.Contains(stdout, "a launched incarnation=2") {
				t.Errorf("exit code %d, stdout %s, stderr %q, want 1 and %s", code, stdout, stderr, tt.want)
			}
			if list, _, _ := runCtl(t, addr, "list"); !regexp.MustCompile(`(?m)^b +ready +\d+ +1 .*$`).MatchString(list) {
				t.Errorf("got\n%s\nwant b unchanged", list)
			}
		})
	}
}
