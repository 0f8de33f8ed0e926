package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// playSupervisor makes the test binary play a supervisor.
const playSupervisor = "DOCS_TEST_SUPERVISOR"

func TestMain(m *testing.M) {
	if os.Getenv(playSupervisor) != "" {
		if err := supervise(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	adoptOrphans()
	os.Exit(m.Run())
}

// supervise plays a supervisor that reports readiness. The file running exists while it runs.
func supervise() error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := os.WriteFile("running", []byte(strings.Join(os.Args[1:], " ")), 0o644); err != nil {
		return err
	}
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte("STATUS=starting\nREADY=1")); err != nil {
		return err
	}
	<-stop
	return os.Remove("running")
}

const fakeCrashlab = `#!/bin/sh
case "$*" in
"--help load"*--bogus*) echo "crashlab: unknown flag --bogus; see crashlab load --help"; exit 2 ;;
"--help load -n") echo "crashlab: -n: want a value"; exit 2 ;;
"--help load"* | "--help COMMAND" | "--help experiment run"*) ;;
--help*) echo "crashlab: unknown command $2; see crashlab --help"; exit 2 ;;
"experiment run --dry-run design.yaml") grep -q good design.yaml || { echo "crashlab: design.yaml:1:1: it is bad"; exit 2; } ;;
load*) echo "calls:    50 in 1.25 s"; echo "rate: 40% of 12,000" >&2; [ "$2" != -q ] || exit 3 ;;
*) echo "crashlab: unexpected argument"; exit 2 ;;
esac
`

const fakeSupervisor = `#!/bin/sh
case "$*" in
--help*) ;;
"check cluster.yaml") grep -q good cluster.yaml || { echo "supervisor: cluster.yaml:1:1: it is bad"; exit 2; } ;;
--config*) ` + playSupervisor + `=1 exec "$TEST_BINARY" "$@" ;;
*) echo "supervisor: unexpected argument"; exit 2 ;;
esac
`

// repository makes one with the given files besides those that every test needs.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_BINARY", self)
	dir := t.TempDir()
	all := map[string]string{
		"go.mod":              "module example.com/crashlab\n\ngo 1.26\n",
		".gitignore":          "/bin/\n",
		"bin/crashlab":        fakeCrashlab,
		"bin/supervisor":      fakeSupervisor,
		"bin/counterd":        "#!/bin/sh\necho 'Usage: counterd [flags]'\n",
		"deploy/cluster.yaml": "command: [x]\n" + crashes,
		"client/c_test.go":    "package client\n\nfunc TestNoWorse() {}\n",
		"Makefile":            "FUZZTIME ?= 1m\n\n.PHONY: fuzz soak build\nbuild:\n\tfalse\nfuzz soak: build ## tests\n\t@echo for $(FUZZTIME)\n",
		resultsFolder + "timeout.md": `
| timeout | crashes | success | p99 |
| --- | --- | ---: | ---: |
| 50ms | 1 | 70.6% [67.6, 73.0] | 162 ms [144, 220]¹ |
| 400ms | 1 | 100% [99.88, 100]² | 626 ms [605, 655] |
| 400ms | 2 | 99.9907% | – |

¹ few runs

30 of 31 agree
`,
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	return dir
}

// check checks the documents of a repository, and returns what is printed.
func check(t *testing.T, dir string, o options) []string {
	t.Helper()
	var out strings.Builder
	found, err := run(context.Background(), dir, nil, o, &out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if found != (len(lines) > 1) {
		t.Errorf("found is %v, and this is printed:\n%s", found, &out)
	}
	return lines
}

func fenced(language string, lines ...string) string {
	return "```" + language + "\n" + strings.Join(lines, "\n") + "\n```\n"
}

func marked(mark, block string) string { return "<!-- check: " + mark + " -->\n" + block }

// TestFindings has one document for each kind of finding, and the same without it.
func TestFindings(t *testing.T) {
	slow := func(lines ...string) string { return marked("slow", fenced("sh", lines...)) }
	for _, tc := range []struct {
		name, text string
		want       []string // LINE: and a part of what is found
	}{
		{"no language", fenced("", "x"), []string{"2: the code block has no language: want ```sh"}},
		{"unknown language", fenced("bash", "x"), []string{"2: the code block has the language bash: want one of sh,"}},
		{"no end", "a\n\n```sh\ntrue", []string{"3: the code block has no end"}},
		{"fence in a longer fence", "````text\n```\n````\n", nil},
		{"unknown mark", marked("quick", fenced("sh", "true")), []string{`1: unknown mark "quick": want slow, skip REASON`}},
		{"skip without a reason", marked("skip", fenced("sh", "true")), []string{`1: unknown mark "skip"`}},
		{"bad exit", marked("exit 300", fenced("sh", "true")), []string{"1: exit 300: want a code from 0 to 255"}},
		{"mark of nothing", "<!-- check: slow -->\n\ntext\n", []string{`1: "check: slow" marks nothing`}},
		{"mark in code", "`<!-- check: what -->`\n", nil},
		{"mark of a block that is not run", marked("slow", fenced("text", "x")), []string{"3: only blocks of sh and console are run"}},

		{"program", slow("bin/crashlab load", "bin/crash load"), []string{"4: there is no program bin/crash"}},
		{"unknown program", slow("maek", "true # maek"), []string{"3: unknown program maek: mark the block skip REASON"}},
		{"unknown program, skipped", marked("skip it is another's", fenced("sh", "theirs --flag")), nil},
		{"program that is not run", fenced("console", "$ true", "$ kubectl apply -k deploy"), []string{"3: unknown program kubectl: mark the block"}},
		{"unknown program is not run", fenced("sh", "false", "env kubectl"), []string{"3: unknown program env"}},
		{"command", slow("crashlab laod"), []string{"3: crashlab: unknown command laod"}},
		{"command of a command", slow("crashlab experiment rnu x"), []string{"3: crashlab: unknown command experiment"}},
		{"flag", slow("bin/crashlab load -q --calls=3 -n5 -qn 5 --no-hang --hang \\", "--bogus"), []string{"3: crashlab: unknown flag --bogus; see crashlab load --help"}},
		{"placeholder", slow("bin/crashlab COMMAND", "bin/crashlab load -n"), nil},
		{"flag in a pipe", slow("x=$(bin/crashlab load --bogus) || exit"), []string{"3: crashlab: unknown flag --bogus; see crashlab load --help", "3: unknown program exit"}},
		{"file", slow("crashlab experiment run deploy/no.yaml", "crashlab experiment run deploy/NAME.yaml runs/latest"), []string{"3: deploy/no.yaml does not exist"}},
		{"file of a flag", slow("supervisor --config=deploy/cluster.yaml", "supervisor --config deploy/no.yaml"), []string{"4: deploy/no.yaml does not exist"}},
		{"file from a folder", slow("(cd deploy && cat ../deploy/no.yaml)", "cat deploy/cluster.yaml"), []string{"3: deploy/no.yaml does not exist"}},
		{"folder that cd stays in", slow("cd deploy", "cat ../deploy/cluster.yaml", "cat ../deploy/no.yaml"), []string{"5: deploy/no.yaml does not exist"}},
		{"target", slow("make fuzz FUZZTIME=3s", "make fuz", "make fuzz FUZTIME=1s"), []string{"4: make has no target fuz;", "5: make: no variable FUZTIME"}},
		{"package", slow("go test ./client -run NoWorse/x", "go test ./clients/...", "go run example.com/crashlab/clien"), []string{
			"4: go test: there is no package ./clients/...", "5: go run: there is no package example.com/crashlab/clien"}},
		{"test", slow("go test ./client -run Better -v"), []string{"3: go test -run Better chooses no test in client"}},
		{"method", slow("grpcurl -plaintext :1 counter.v1.Counter/Got"), []string{"3: grpcurl: counter.v1.Counter has no method Got"}},
		{"request", slow(`grpcurl -d '{"crash_probability":1}' :1 fault.v1.Fault/Set`, `grpcurl -d '{"crash":1}' :1 fault.v1.Fault/Set`),
			[]string{`4: grpcurl -d {"crash":1}:`}},
		{"command in a span", "a\nb `crashlab load --bogus`, `crashlab`, `crashlab load -n`, `crashlab load -n 1|2|3`, `crashlab load <n` and `make fuzz`\n", []string{"2: crashlab: unknown flag --bogus; see crashlab load --help"}},
		{"name in a span", "`client/c_test.go` `client/none` `client/*.go` `other/none` `client/NAME.go`\n", []string{"1: client/none does not exist"}},
		{"test in a span", "`TestNoWorse`\n`TestWorse`\n", []string{"2: there is no test TestWorse"}},

		{"link", "[a](deploy/cluster.yaml) [`b`](deploy) [c](no.md)\n![d](deploy/no.svg)\n<img src=\"no.png\">", []string{
			"1: the link no.md leads nowhere: the repository has no no.md", "2: the link deploy/no.svg leads", "3: the link no.png leads"}},
		{"link to another host", "[a](https://example.com/no) [b](/deploy)\n", []string{"1: the link /deploy begins at the root"}},
		{"link in code", "`[a](no.md)`\n" + fenced("text", "[a](no.md)"), nil},
		{"anchor", "# `A` b, c\n\n## D_e\n\n## D_e ##\n\n[](#a-b-c) [](#d_e-1) [](#d_e-2)\n", []string{"7: the link #d_e-2 leads nowhere: doc.md has no heading #d_e-2"}},

		{"not YAML", fenced("yaml", `a: [1`), []string{"2: not YAML"}},
		{"cluster file", fenced("yaml", "command: [good]") + fenced("yaml", "command: [x]"), []string{"5: supervisor check: exit status 2: supervisor: cluster.yaml:1:1: it is bad"}},
		{"design", fenced("yaml", "factors: good") + fenced("yaml", "factors: x"), []string{"5: crashlab experiment run --dry-run: exit status 2: crashlab: design.yaml:1:1"}},
		{"Go", fenced("go", "package main", "", "func main() { x() }"), []string{"2: go vet: line 3: undefined: x"}},
		{"part of Go", fenced("go", "x := 1", "y(x)") + fenced("go", "func f() {}") + fenced("go", "x := "), []string{"9: not Go"}},

		{"exit code", fenced("sh", "true", "bin/crashlab load -q", "false"), []string{"3: exits with 3, want 0: rate: 40% of 12,000"}},
		{"exit code, wanted", marked("exit 3", fenced("console", "$ bin/crashlab load -q --none", "...")), nil},
		{"syntax of the shell", fenced("sh", "true (", "true"), []string{"2: the shell cannot read it: "}},
		{"console", fenced("console", "$ bin/crashlab load \\", "> -n 4", "calls: 51 in 300 ms", "rate: 3% of 4", "$ echo one two", "one", "$ true"), []string{
			`7: the output has "one two" where the document has "one"`}},
		{"console, elided", fenced("console", "$ bin/crashlab load", "...", "rate: ... of 1", "$ echo a b c", "a ... c"), nil},
		{"console, more", fenced("console", "$ bin/crashlab load", "calls: 50 in 1 s"), []string{`4: the output has "rate: 40% of 12,000" where the document has "its end"`}},
		{"make does not build", fenced("console", "$ make soak", "for 1m"), nil},
		{"console, exit code", fenced("console", "$ bin/crashlab load -q", "$ true"), []string{"2: exits with 3, want 0"}},
		{"console without a command", fenced("console", "calls"), []string{`2: the console begins with output`}},
		{"file first", marked("file a/b.txt", fenced("text", "x", "y")) + fenced("console", "$ cat a/b.txt", "x", "y"), nil},
		{"one copy for a document", fenced("sh", "echo one >made", "cd deploy", "ls cluster.yaml") + fenced("console", "$ cat made", "one"), nil},
		{"cluster", marked("cluster", fenced("console", "$ cat running", "--config deploy/cluster-of-docs.yaml", "$ grep -c seed= $(sed s/--config// running)", "1")) +
			fenced("sh", "test ! -e running"), nil},
		{"cluster, tried again", marked("cluster", fenced("sh", "grep seed=3 $(sed s/--config// running)")), nil},
		{"cluster, tried too often", marked("cluster", fenced("sh", "grep seed=6 $(sed s/--config// running)")), []string{"3: exits with 1, want 0"}},
		{"cluster, flags", marked("cluster --config deploy/cluster.yaml --more, exit 1", fenced("sh", "cat running | grep -q more", "false")), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := repository(t, map[string]string{"doc.md": tc.text})
			lines := check(t, dir, options{})
			found := lines[:len(lines)-1]
			if len(found) != len(tc.want) {
				t.Fatalf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(tc.want, "\n"))
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(found[i], "doc.md:"+want) {
					t.Errorf("found\n%s\nwant\ndoc.md:%s", found[i], want)
				}
			}
		})
	}
}

func TestSummary(t *testing.T) {
	dir := repository(t, map[string]string{
		"a.md": "[a](deploy) `make fuzz`\n" + fenced("sh", "true", "true && bin/crashlab load") + marked("slow", fenced("sh", "make soak")),
		"b.md": `<!-- from: timeout match="(\d+) of" -->30` + "\n",
	})
	const want = "documents: 3; commands run: 3, only read: 2; links: 1; figures: 1; findings: 0; "
	if lines := check(t, dir, options{}); len(lines) != 1 || !strings.HasPrefix(lines[0], want) {
		t.Errorf("printed\n%s\nwant\n%s", strings.Join(lines, "\n"), want)
	}
	const static = "documents: 3; commands run: 0, only read: 5;"
	if lines := check(t, dir, options{static: true}); len(lines) != 1 || !strings.HasPrefix(lines[0], static) {
		t.Errorf("with -static, printed\n%s\nwant\n%s", strings.Join(lines, "\n"), static)
	}
}

// TestUpdateOutput has output that has changed, in one block in a list, and output that is elided.
func TestUpdateOutput(t *testing.T) {
	const text = "- a\n  ```console\n  $ echo %s; echo; echo b 2\n  %[1]s\n\n  b %s\n\n  $ true\n  ```\n"
	elided := fenced("console", "$ echo d", "... e")
	dir := repository(t, map[string]string{"doc.md": strings.Replace(fmt.Sprintf(text, "a", "1"), "  a\n", "  c\n", 1) + elided})
	lines := check(t, dir, options{update: true})
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `doc.md:12: the output has "d" where the document has "... e"`) || !strings.Contains(lines[1], "updated: 1;") {
		t.Errorf("printed\n%s", strings.Join(lines, "\n"))
	}
	want := fmt.Sprintf(text, "a", "2") + elided
	if got, err := os.ReadFile(filepath.Join(dir, "doc.md")); err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

// TestFindingIsOneLine has an error whose text has several.
func TestFindingIsOneLine(t *testing.T) {
	lines := check(t, repository(t, map[string]string{"doc.md": fenced("yaml", "a: 1", "b: [", "c: }")}), options{})
	if len(lines) != 2 {
		t.Errorf("printed\n%s", strings.Join(lines, "\n"))
	}
}

// TestNothingStays starts a process in the background that outlives the shell's SIGTERM.
func TestNothingStays(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	t.Setenv("PIDS", pids)
	dir := repository(t, map[string]string{"doc.md": fenced("sh", `(trap 'sleep 0.1; exit' TERM; while :; do sleep 0.01; done) & echo $! >"$PIDS"`)})
	if lines := check(t, dir, options{}); len(lines) != 1 {
		t.Fatal(lines)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v, want none", pid, err)
	}
}

// TestUserFilesStay runs commands that write where the user's runs are.
func TestUserFilesStay(t *testing.T) {
	dir := repository(t, map[string]string{"doc.md": fenced("sh", "mkdir -p runs", "echo theirs >runs/latest", "rm -r client"), "runs/latest": "mine"})
	if lines := check(t, dir, options{}); len(lines) != 1 {
		t.Fatal(lines)
	}
	text, err := os.ReadFile(filepath.Join(dir, "runs/latest"))
	if err != nil || string(text) != "mine" {
		t.Errorf("runs/latest: %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "client")); err != nil {
		t.Error(err)
	}
}
