// Command docs checks the documents, which are all files *.md of the repository: that their
// commands work, that their links and the files they name exist, and that figures are those of the
// results they come from. Make builds the programs first.
//
//	make check-docs
//	go run ./deploy/docs [-static] [-update] [-v] [DOCUMENT...]
//
// It prints a line for each finding, with the document and the line, and exits with 1 when there is
// one. -static runs no command and takes seconds. -update writes the figures of results files, and
// the output of commands, into the documents.
//
// # Blocks of code
//
// A block names its language. Those of sh are commands, which must exit with 0. Those of console
// have commands behind "$ " and what they print, to both stdout and stderr, below. A command with
// nothing below may print anything. In the output, a line "..." stands for any lines and "..." in a
// line for any text. Numbers, with their units, may differ, and so may the white space between
// words; all words must agree. -update replaces output in which nothing is elided.
//
// All commands of a document run in one copy of the repository, with the programs in bin/, in a
// network without other machines where the system allows that (Linux); so later blocks find what
// earlier ones have made. A block must end within a minute, and what it has started in the
// background ends with it. A comment on the line before says what else a block needs:
//
//	<!-- check: slow -->                 it is not run, as it takes long or does not end
//	<!-- check: skip REASON -->          it is not run for another reason
//	<!-- check: cluster -->              it is run beside the cluster of deploy/cluster.yaml
//	<!-- check: cluster --control none -->  with more flags for its supervisor
//	<!-- check: exit 99 -->              the last command exits with 99
//	<!-- check: exact -->                the output has these very numbers
//	<!-- check: file cluster.yaml -->    the block is written to this file first
//	<!-- check: cluster, exit 1 -->      both
//
// Beside a cluster a block is tried up to five times, as its calls may meet crashes.
//
// Whether they are run or not, commands in blocks, and those of our programs, make and go in spans
// of code, are read: programs, their commands and flags, make's targets, Go packages, tests that
// -run chooses, gRPC methods and files must exist. What is not run stays right that way.
//
// Blocks of go that are whole files must build; others must parse. Those of yaml that are cluster
// files or designs pass supervisor check or crashlab experiment run --dry-run. json must parse.
// text is anything.
//
// # Figures
//
// A comment before a figure says where it comes from:
//
//	<!-- from: timeout row="400ms" col="p99" -->0.6 s
//	<!-- from: policies row="original; concurrency=10" col="success" -->2.5% [0.9, 6.9]
//	<!-- from: validation match="(\d+) of 30 cells agree" -->30
//
// The file is a path from the root of the repository, or the name of a table in
// deploy/experiments/results. The row is the one that has all of the cells, each VALUE or
// COLUMN=VALUE. The figure must be that of the file, rounded to as many digits as it has, in any
// unit of time, with or without the interval. Above a table,
//
//	<!-- from: timeout -->
//	<!-- from: timeout cols="timeout; success; -" -->
//
// compares each cell. Its rows are found by their first cells. cols has the file's names of the
// columns where the document has others; - is not compared.
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
	flag.BoolVar(&o.verbose, "v", false, "print each block that is run, and how long it took")
	flag.Parse()
	if os.Getenv("CHECK_DOCS") != "" {
		fmt.Fprintln(os.Stderr, "docs: a document runs the check of the documents: mark the block slow")
		os.Exit(2)
	}
	adopt()
	if code, ok := private(); ok {
		os.Exit(code)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	found, err := run(ctx, ".", flag.Args(), o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(2)
	}
	if found {
		os.Exit(1)
	}
}

// options are the flags.
type options struct{ static, update, verbose bool }

// checker checks documents.
type checker struct {
	options
	tree    *tree
	out     io.Writer
	scratch string          // a folder of its own
	module  string          // the path of the repository's Go module
	goEnv   []string        // where go keeps what it has built
	tools   []string        // folders of programs in .tools
	missing map[string]bool // programs that are not installed here

	pages   map[string]*help           // by command
	tests   map[string][]string        // functions of test files
	known   map[string]map[string]bool // anchors of documents
	goFiles []string

	findings []finding
	counts   counts
}

// finding is what is wrong in a line of a document.
type finding struct {
	document string
	line     int
	what     string
	mend     *change // none: nothing that -update can do
}

// counts is what has been checked.
type counts struct {
	documents, run, read, links, figures, updated int
	absent                                        map[string]bool // programs that would have been run
}

// run checks the documents of the repository in dir, or those named, and prints what it finds.
func run(ctx context.Context, dir string, names []string, o options, out io.Writer) (found bool, err error) {
	start := time.Now()
	c, err := newChecker(dir, o, out)
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
		c.checkWords(d)
		c.checkFigures(d)
		c.checkBlocks(ctx, d)
		if err := c.rewrite(d); err != nil {
			return false, err
		}
	}
	if err := c.checkGoFiles(ctx); err != nil {
		return false, err
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

func newChecker(dir string, o options, out io.Writer) (*checker, error) {
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
		options: o, tree: t, out: out,
		counts:  counts{absent: map[string]bool{}},
		missing: map[string]bool{}, pages: map[string]*help{}, tests: map[string][]string{}, known: map[string]map[string]bool{},
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

// findChange reports a finding that -update mends.
func (c *checker) findChange(d *document, line int, ch change, format string, args ...any) {
	if c.update {
		d.changes = append(d.changes, ch)
		c.counts.updated++
		return
	}
	c.find(d, line, format+"; -update mends it", args...)
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
