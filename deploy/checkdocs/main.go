// Command checkdocs checks all documents (*.md) of the repository: their commands work, their links
// and the files they name exist, and their figures are those of the results. Run make first, as it
// builds the programs.
//
//	make check-docs
//	go run ./deploy/checkdocs [-static] [-update] [DOCUMENT...]
//
// It prints each finding with its document and line, and exits with 1 if there is any. With -static
// it runs no commands and takes seconds. With -update it writes figures and the output of commands
// into the documents.
//
// # Code blocks
//
// Each block names its language. A block of sh contains commands, which must exit with 0. A block
// of console contains commands after "$ ", each followed by its output (stdout and stderr); a
// command without output may print anything. In the output, a line "..." stands for any lines, and
// "..." within a line for any text. Numbers with their units, and white space, may differ; words
// may not. -update replaces output that contains no "...".
//
// All commands of a document run in the same copy of the repository, which contains the programs in
// bin/. On Linux they run in a network namespace of their own if the system allows it. A block must
// end within a minute; processes that it leaves in the background are stopped. A comment on the
// line above says what else a block needs:
//
//	<!-- check: slow -->                    do not run it: it takes long or does not end
//	<!-- check: skip REASON -->             do not run it for another reason
//	<!-- check: cluster -->                 run it beside the cluster of deploy/cluster.yaml
//	<!-- check: cluster --control none -->  the same, with these flags for the supervisor
//	<!-- check: exit 99 -->                 the last command exits with 99
//	<!-- check: file cluster.yaml -->       write the block to this file first
//	<!-- check: cluster, exit 1 -->         both
//
// Beside a cluster a block is tried up to five times, because calls may fail when replicas crash.
//
// Commands that do not run are checked too, as are those of our programs, make and go in code
// spans: programs, commands, flags, targets of make, Go packages, tests chosen by -run, gRPC
// methods and files must exist.
//
// Complete Go files must pass go vet; fragments must parse. YAML must parse; cluster files must
// pass supervisor check, and designs crashlab experiment run --dry-run. Blocks of other languages,
// such as text, are not checked.
//
// # Figures
//
// A comment before a figure names its source:
//
//	<!-- from: validation match="(\d+) of 30 cells agree" -->30
//
// The source is a path from the root of the repository, or the name of a file in
// deploy/experiments/results without .md. The figure must be equal to the text that the parentheses
// match. A comment above a table compares all of its cells:
//
//	<!-- from: timeout -->
//	<!-- from: timeout cols="timeout; success; -" -->
//
// The first cell of a row identifies the row in the source. Without cols, the columns have the same
// names as in the source; with cols, these. A column named - is not compared.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.BoolVar(&o.static, "static", false, "run no command")
	flag.BoolVar(&o.update, "update", false, "write figures of results files and output of commands into the documents")
	flag.Parse()
	if os.Getenv("CHECK_DOCS") != "" {
		fmt.Fprintln(os.Stderr, "checkdocs: a document runs the check of the documents: mark the block slow")
		os.Exit(2)
	}
	adoptOrphans()
	if code, ok := rerunInNamespace(); ok {
		os.Exit(code)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	found, err := run(ctx, ".", flag.Args(), o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "checkdocs:", err)
		os.Exit(2)
	}
	if found {
		os.Exit(1)
	}
}

// options are the flags.
type options struct{ static, update bool }

// checker checks documents.
type checker struct {
	options
	tree    *tree
	scratch string          // a folder of its own
	module  string          // the path of the repository's Go module
	goEnv   []string        // where go keeps what it has built
	tools   []string        // folders of programs in .tools
	missing map[string]bool // programs that are not installed here

	tests     map[string][]string        // functions of test files
	anchorsOf map[string]map[string]bool // by document

	findings []finding
	counts   counts
}

// finding is a mistake in a document.
type finding struct {
	document string
	line     int
	what     string
	fix      *change // made by -update; nil: none
}

// counts says how much was checked.
type counts struct {
	documents, run, read, links, figures, updated int

	// absent are the programs of commands that were skipped because they are not installed.
	absent map[string]bool
}

// run checks the documents of the repository in dir, or those named, and prints what it finds.
func run(ctx context.Context, dir string, names []string, o options, out io.Writer) (found bool, err error) {
	start := time.Now()
	c, err := newChecker(dir, o)
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(c.scratch)
	if len(names) == 0 {
		names = c.tree.documents()
	}
	var documents []*document
	for _, name := range names {
		d, err := c.open(name)
		if err != nil {
			return false, err
		}
		documents = append(documents, d)
	}
	for _, d := range documents {
		c.counts.documents++
		c.checkLinks(d)
		c.checkNames(d)
		c.checkSpans(d)
		c.checkFigures(d)
		c.checkBlocks(ctx, d)
		if err := c.rewrite(d); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return false, errors.New("stopped")
	}
	slices.SortStableFunc(c.findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.document, b.document), cmp.Compare(a.line, b.line))
	})
	for _, f := range c.findings {
		fmt.Fprintf(out, "%s:%d: %s\n", f.document, f.line, f.what)
	}
	fmt.Fprintln(out, c.summary(time.Since(start)))
	return len(c.findings) > 0, nil
}

func newChecker(dir string, o options) (*checker, error) {
	if err := loopbackUp(); err != nil {
		return nil, fmt.Errorf("loopback interface: %v", err)
	}
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(t.root, "bin", program)); err != nil {
			return nil, fmt.Errorf("%v: run make first", err)
		}
	}
	c := &checker{
		options: o, tree: t,
		counts:  counts{absent: map[string]bool{}},
		missing: map[string]bool{}, tests: map[string][]string{}, anchorsOf: map[string]map[string]bool{},
	}
	if c.tools, err = filepath.Glob(filepath.Join(t.root, ".tools", "grpcurl@*")); err != nil {
		return nil, err
	}
	for _, program := range []string{"grpcurl", "curl", "jq", "python3"} {
		if _, err := exec.LookPath(program); err != nil && (program != "grpcurl" || len(c.tools) == 0) {
			c.missing[program] = true
		}
	}
	text, err := t.read("go.mod")
	if err != nil {
		return nil, err
	}
	c.module, _, _ = strings.Cut(strings.TrimPrefix(text, "module "), "\n")
	cmd := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH")
	cmd.Dir = t.root
	values, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %v", err)
	}
	for i, value := range strings.Fields(string(values)) {
		c.goEnv = append(c.goEnv, []string{"GOCACHE=", "GOMODCACHE=", "GOPATH="}[i]+value)
	}
	c.scratch, err = os.MkdirTemp("", "docs")
	return c, err
}

// open reads a document.
func (c *checker) open(name string) (*document, error) {
	text, err := c.tree.read(name)
	if err != nil {
		return nil, err
	}
	return parse(name, text, func(line int, format string, args ...any) {
		c.find(&document{name: name}, line, format, args...)
	}), nil
}

// find reports a finding, in one line.
func (c *checker) find(d *document, line int, format string, args ...any) {
	what := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	c.findings = append(c.findings, finding{document: d.name, line: line, what: what})
}

// findChange reports a finding that -update fixes.
func (c *checker) findChange(d *document, line int, ch change, format string, args ...any) {
	if c.update {
		d.changes = append(d.changes, ch)
		c.counts.updated++
		return
	}
	c.find(d, line, format+"; -update fixes it", args...)
}

// rewrite writes the changes of a document.
func (c *checker) rewrite(d *document) error {
	if len(d.changes) == 0 {
		return nil
	}
	slices.SortFunc(d.changes, func(a, b change) int { return cmp.Compare(a.start, b.start) })
	text := d.text
	for _, ch := range slices.Backward(d.changes) {
		text = text[:ch.start] + ch.text + text[ch.end:]
	}
	return os.WriteFile(filepath.Join(c.tree.root, filepath.FromSlash(d.name)), []byte(text), 0o644)
}

// summary is the last line.
func (c *checker) summary(took time.Duration) string {
	n := c.counts
	s := fmt.Sprintf("documents: %d; commands run: %d, only read: %d; links: %d; figures: %d", n.documents, n.run, n.read, n.links, n.figures)
	if n.updated > 0 {
		s += fmt.Sprintf("; updated: %d", n.updated)
	}
	if len(n.absent) > 0 {
		s += "; not run, as they are not installed: " + strings.Join(slices.Sorted(maps.Keys(n.absent)), ", ")
	}
	return fmt.Sprintf("%s; findings: %d; %v", s, len(c.findings), took.Round(time.Second))
}
