package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/transport/issuer"
)

// The output of check has every key that a cluster file can have. A key that the file is taught has
// to be added here.
func TestCheckPrintsEveryKey(t *testing.T) {
	dir := t.TempDir()
	authority, err := issuer.New(time.Hour)
	if err == nil {
		err = authority.Write(dir, "ca")
	}
	if err == nil {
		err = authority.Issue(dir, "server", time.Hour, "127.0.0.1")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "env"), []byte("A=1\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	const serving = "cert: $DIR/server.crt, key: $DIR/server.key"
	const group = "groups: {one: {replicas: 1}, two: {replicas: 1"
	keys := map[string]struct{ text, want string }{
		"replicas": {"replicas: 4", "  d:\n"}, "name": {"name: counter-0", "  counter-0:\n"},
		"host": {"host: 127.0.0.9\nready: tcp", "addr: 127.0.0.9:7101\n"}, "base_port": {"base_port: 7200", "addr: 127.0.0.1:7200\n"},
		"restart": {"restart: on-failure", "restart: on-failure\n"}, "restart_delay": {"restart_delay: 3s", "restart_delay: 3s\n"},
		"backoff.factor": {"backoff: {factor: 2.5}", "backoff: {factor: 2.5, max: 1m0s, jitter: 0.0, reset: 10s}\n"},
		"backoff.max":    {"backoff: {max: 9s}", ", max: 9s, "}, "backoff.jitter": {"backoff: {jitter: 0.25}", ", jitter: 0.25, "},
		"backoff.reset": {"backoff: {reset: 9s}", ", reset: 9s}\n"},
		"limit.exits":   {"limit: {exits: 9}", "limit: {exits: 9, window: 1m0s, then: isolate}\n"},
		"limit.window":  {"limit: {exits: 9, window: 8s}", ", window: 8s, "},
		"limit.then":    {"limit: {exits: 9, then: restart-all}", ", then: restart-all}\n"},
		"ready.kind":    {"ready: {kind: notify}", "ready: notify\n"},
		"ready.service": {"ready: {kind: grpc, service: s.S}", "ready: {kind: grpc, service: s.S, period: 100ms, timeout: 1s}\n"},
		"ready.path":    {"ready: {kind: http, path: /p}", "ready: {kind: http, path: /p, "},
		"ready.period":  {"ready: {kind: http, period: 20ms}", "ready: {kind: http, path: /, period: 20ms, timeout: 1s}\n"},
		"ready.timeout": {"ready: {kind: tcp, timeout: 9s}", "ready: {kind: tcp, period: 100ms, timeout: 9s}\n"},
		"alive.kind":    {"alive: {kind: tcp}", "alive: tcp\n"},
		"alive.service": {"alive: {kind: grpc, service: s.S}", "alive: {kind: grpc, service: s.S, "},
		"alive.path":    {"alive: {kind: http, path: /p}", "alive: {kind: http, path: /p, "},
		"alive.period":  {"alive: {kind: tcp, period: 9s}", "alive: {kind: tcp, period: 9s, timeout: 1s, threshold: 3}\n"},
		"alive.timeout": {"alive: {kind: tcp, timeout: 9ms}", ", timeout: 9ms, "}, "alive.threshold": {"alive: {kind: tcp, threshold: 9}", ", threshold: 9}\n"},
		"alive.terminate": {"alive: {kind: tcp, terminate: true}", ", terminate: true}\n"},
		"start_timeout":   {"start_timeout: 9s", "start_timeout: 9s\n"}, "stop_timeout": {"stop_timeout: 9s", "stop_timeout: 9s\n"},
		"stop.signal": {"stop: {signal: QUIT}", "stop: {signal: QUIT, to: group}\n"},
		"stop.to":     {"stop: {to: leader}", "stop: {signal: TERM, to: leader}\n"}, "stop.timeout": {"stop: {timeout: 8s}", "stop_timeout: 8s\n"},
		"after": {group + ", after: [one]}}", "after: [one]\n"}, "groups": {group + "}}", "group: two\n"},
		"log_overflow": {"log_overflow: drop", "log_overflow: drop\n"}, "command": {"replicas: 1", `command: ["true"]`},
		"env": {"env: {B: x}", "env:\n      B: x\n"}, "env_file": {"env_file: $DIR/env", "env:\n      A: \"1\"\n"},
		"clean_env": {"clean_env: true", "clean_env: true\n"}, "dir": {"dir: $DIR", "dir: $DIR\n"},
		"rlimits": {"rlimits: {nofile: 64, core: 0:unlimited}", `rlimits: {core: "0:unlimited", nofile: "64"}` + "\n"}, "nice": {"nice: 9", "nice: 9\n"},
		"user":   {fmt.Sprintf("user: %d", os.Geteuid()), fmt.Sprintf("user: %q\n", fmt.Sprint(os.Geteuid()))},
		"banner": {"banner: all ready", "banner: all ready\n"}, "control.addr": {"control: {addr: 127.0.0.1:7999}", "control: 127.0.0.1:7999\n"},
		"tls.cert": {"tls: {" + serving + "}", "  cert: $DIR/server.crt\n"}, "tls.key": {"tls: {" + serving + "}", "  key: $DIR/server.key\n"},
		"tls.client_ca": {"tls: {" + serving + ", client_ca: $DIR/ca.crt}", "  client_ca: $DIR/ca.crt\n"},
		"tls.ca":        {"tls: {ca: $DIR/ca.crt}", "  ca: $DIR/ca.crt\n"}, "tls.server_name": {"tls: {ca: system, server_name: s}", "  server_name: s\n"},
		"insecure": {"insecure: true", "insecure: true\n"}, "metrics_addr": {"metrics_addr: 127.0.0.1:7998", "metrics_addr: 127.0.0.1:7998\n"},
		"events": {"events: $DIR/e", "events: $DIR/e\n"}, "log_dir": {"log_dir: $DIR", "log_dir: $DIR\n"}, "log_size": {"log_size: 99", "log_size: 99\n"},
		"log_files": {"log_files: 9", "log_files: 9\n"}, "file_mode": {"file_mode: 0600", "file_mode: \"0600\"\n"},
		"state_dir": {"state_dir: $DIR", "state_dir: $DIR\n"}, "max_starting": {"max_starting: 9", "max_starting: 9\n"},
	}
	check := func(text string) (string, error) {
		var stdout bytes.Buffer
		err := run([]string{"check", write(t, "command: [\"true\"]\n"+strings.ReplaceAll(text, "$DIR", dir)+"\n")}, &stdout, &stdout)
		return strings.ReplaceAll(stdout.String(), dir, "$DIR"), err
	}
	plain, err := check("")
	if err != nil {
		t.Fatal(err)
	}
	for key, k := range keys {
		got, err := check(k.text)
		if err != nil || !strings.Contains(got, k.want) || strings.Contains(plain, k.want) && key != "command" {
			t.Errorf("%s: %v, want %q in\n%s", key, err, k.want, got)
		}
	}
	known := regexp.MustCompile(`unknown key "nosuch": want one of (.*)`)
	for _, outer := range []string{"", "backoff", "limit", "ready", "alive", "stop", "control", "tls"} {
		text, prefix := "nosuch: 1", ""
		if outer != "" {
			text, prefix = outer+": {nosuch: 1}", outer+"."
		}
		_, err := check(text)
		if err == nil || !known.MatchString(err.Error()) {
			t.Fatalf("%s: %v, want a list of the keys", text, err)
		}
		for key := range strings.SplitSeq(known.FindStringSubmatch(err.Error())[1], ", ") {
			_, nested := check(key + ": {nosuch: 1}")
			_, ok := keys[prefix+key]
			if ok = ok || outer == "" && nested != nil && known.MatchString(nested.Error()); !ok && prefix+key != "ready.threshold" && prefix+key != "ready.terminate" {
				t.Errorf("%s%s: not tested whether check prints it", prefix, key)
			}
		}
	}
}
