package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// For bad input, each program exits with code 2 and one line that has the value, what is allowed,
// and the flag or the place in the file.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const file = "FILE" // in arguments and errors, stands for the path of a cluster file with the text
	for name, tt := range map[string]struct {
		args string
		text string   // of the cluster file
		want []string // parts of the line
	}{
		"counterd: port":         {"counterd --addr 127.0.0.1:65536", "", []string{"--addr", "127.0.0.1:65536", "to 65535"}},
		"supervisor: port":       {"supervisor --base-port 65536 -- bin/counterd", "", []string{"--base-port", "65536", "1 to 65535"}},
		"supervisor: last port":  {"supervisor --base-port 65534 -- bin/counterd", "", []string{"--base-port", "65534", "65533 or less"}},
		"file: port":             {"supervisor --config FILE", "command: [../bin/counterd]\nbase_port: 65536\n", []string{"FILE:2:12: ", "base_port", "65536", "1 to 65535"}},
		"crashlab: port":         {"crashlab get --target static:///127.0.0.1:65536", "", []string{"--target", `"65536"`, "1 to 65535"}},
		"counterd: probability":  {"counterd --p-crash 1.3", "", []string{"--p-crash", "1.3", "0 to 1"}},
		"crashlab: share":        {"crashlab load --require-success 1.3", "", []string{"--require-success", "1.3", "0 to 1"}},
		"file: unknown key":      {"supervisor --config FILE", "command: [../bin/counterd]\nbase_prt: 7101\n", []string{"FILE:2:1: ", `"base_prt"`, "base_port"}},
		"file: duration":         {"supervisor --config FILE", "command: [../bin/counterd]\nrestart_delay: 500\n", []string{"FILE:2:16: ", "restart_delay", `"500"`, "with its unit"}},
		"supervisor: duration":   {"supervisor --restart-delay 500 -- bin/counterd", "", []string{"--restart-delay", `"500"`, "with its unit"}},
		"counterd: duration":     {"counterd --drain-timeout 5", "", []string{"--drain-timeout", `"5"`, "such as 500ms or 2s"}},
		"counterd: service time": {"counterd --service-time 50", "", []string{"--service-time", `"50"`, "such as 50ms"}},
		"crashlab: duration":     {"crashlab load --timeout 1", "", []string{"--timeout", `"1"`, "with its unit"}},
		"crashlab: rounds":       {"crashlab load --rounds 0", "", []string{"--rounds", `"0"`, "from 1"}},
		"crashlab get: rounds":   {"crashlab get --rounds 0", "", []string{"--rounds", `"0"`, "from 1"}},
		"supervisor: replicas":   {"supervisor --replicas 0 -- bin/counterd", "", []string{"--replicas", `"0"`, "1 to 1000"}},
		"crashlab: empty target": {"crashlab load --target=", "", []string{"--target", `""`, "static:///HOST:PORT"}},
		"crashlab: empty list":   {"crashlab get --target static:///", "", []string{"--target", `"static:///"`, "static:///HOST:PORT"}},
		// A name with an empty label is not looked up.
		"crashlab get: nothing":   {"crashlab get --target dns:///nosuch..invalid:7101", "", []string{"--target", `"dns:///nosuch..invalid:7101"`, "resolves to at least one"}},
		"crashlab load: nothing":  {"crashlab load --target dns:///nosuch..invalid:7101", "", []string{"--target", `"dns:///nosuch..invalid:7101"`, "resolves to at least one"}},
		"file: no command":        {"supervisor --config FILE", "replicas: 3\n", []string{"FILE: ", "no command", "command: [PROGRAM, ARG]"}},
		"file: empty command":     {"supervisor --config FILE", "replicas: 3\ncommand: []\n", []string{"FILE:2:10: ", "no command", "command: [PROGRAM, ARG]"}},
		"supervisor: no command":  {"supervisor", "", []string{"no command", "-- COMMAND", "--config FILE"}},
		"supervisor: no program":  {"supervisor -- bin/nosuch", "", []string{"COMMAND", `"bin/nosuch"`, "want a program"}},
		"supervisor: flag":        {"supervisor --nosuch -- bin/counterd", "", []string{"--nosuch", "--help"}},
		"crashlab: flag":          {"crashlab load --nosuch", "", []string{"--nosuch", "--help"}},
		"counterd: flag":          {"counterd --nosuch", "", []string{"--nosuch"}},
		"counterd: crash point":   {"counterd --crash-point never", "", []string{"--crash-point", `"never"`, "arrival or reply"}},
		"crashlab: start order":   {"crashlab load --order last", "", []string{"--order", `"last"`, "want first, round-robin, random, least-in-flight or sticky"}},
		"supervisor: placeholder": {"supervisor -- bin/counterd {nmae}", "", []string{"COMMAND", "{nmae}", "{name}, {index}, {addr}, {port}"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := ""
			if tt.text != "" {
				path = write(t, tt.text)
			}
			args := strings.Fields(tt.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], file, path)
			}
			code, stdout, stderr := run(t, args[0], args[1:]...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, stdout %q; want 2 and nothing", code, stdout)
			}
			line, excerpt, _ := strings.Cut(stderr, "\n")
			containsAll(t, line, args[0]+": ")
			for _, want := range tt.want {
				if path != "" {
					want = strings.ReplaceAll(want, file, path)
				}
				containsAll(t, line, want)
			}
			// After a mistake in the file follows an excerpt, with a caret below the column.
			if inFile := tt.text != "" && strings.Contains(tt.want[0], ":2:"); inFile != (excerpt != "") || inFile && !strings.Contains(excerpt, "^\n") {
				t.Errorf("after the first line:\n%s", excerpt)
			}
		})
	}
}

// write creates a cluster file, and returns its path. The binaries are in ../bin relative to it.
func write(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp(lab, "file")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
