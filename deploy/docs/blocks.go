package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// languages are those that a block may have; those from text on are not looked into.
var languages = []string{"sh", "console", "go", "yaml", "json", "text", "diff", "dockerfile", "ini", "mermaid", "promql", "proto", "svg", "xml"}

// tries is how often a block is run beside a new cluster. Its replicas crash, and calls may fail.
const tries = 5

// checkBlocks checks the blocks of a document in their order.
func (c *checker) checkBlocks(ctx context.Context, d *document) {
	dir := "" // the document's copy of the repository, once it is needed
	for _, b := range d.blocks {
		if ctx.Err() != nil {
			return
		}
		if err := c.checkBlock(d, b); err != nil {
			c.find(d, b.line, "%v", err)
			continue
		}
		runs := b.mayRun()
		if c.static || !runs && b.marks.file == "" {
			continue
		}
		if dir == "" {
			dir = filepath.Join(c.scratch, "tree")
			defer os.RemoveAll(dir)
			if err := c.tree.copy(dir); err != nil {
				c.find(d, b.line, "copying the repository: %v", err)
				return
			}
		}
		if b.marks.file != "" {
			if err := writeFile(filepath.Join(dir, b.marks.file), b.lines); err != nil {
				c.find(d, b.line, "%v", err)
			}
		}
		if runs {
			c.runBlock(ctx, d, b, dir)
		}
	}
}

func writeFile(name string, lines []string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// checkBlock checks a block without running it. Commands are reported as they are found.
func (c *checker) checkBlock(d *document, b *block) error {
	text := strings.Join(b.lines, "\n") + "\n"
	if !b.isScript() && (b.marks.cluster || b.marks.exit != 0 || b.marks.exact || b.marks.slow) {
		return errors.New("only blocks of sh and console are run: want no mark but skip REASON or file NAME")
	}
	if b.marks.exact && b.language != "console" {
		return errors.New("exact: want a block of console, which shows output")
	}
	switch {
	case b.language == "":
		return fmt.Errorf("the code block has no language: want ```sh, or one of %s", strings.Join(languages[1:], ", "))
	case !slices.Contains(languages, b.language):
		return fmt.Errorf("the code block has the language %s: want one of %s", b.language, strings.Join(languages, ", "))
	case b.isScript():
		steps, err := b.steps()
		for i, s := range steps {
			if b.mayRun() && b.mayFail(steps, i) {
				continue // it may show what a wrong command does
			}
			for _, cmd := range commands(s.text) {
				c.checkCommandOf(d, b, cmd, s.line+cmd.line)
			}
		}
		return err
	case b.marks.skip != "":
		return nil
	case b.language == "go":
		return c.checkGoBlock(d, b, text)
	case b.language == "yaml":
		return c.checkYAML(text)
	case b.language == "json":
		for dec := json.NewDecoder(strings.NewReader(text)); ; {
			var v any
			if err := dec.Decode(&v); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("no JSON: %v", err)
			}
		}
	}
	return nil
}

// showsExit reports whether the step after the i-th shows its exit code.
func (b *block) showsExit(steps []step, i int) bool {
	return i+1 < len(steps) && strings.Contains(steps[i+1].text, "$?")
}

// mayFail reports whether the i-th step may exit with another code than 0.
func (b *block) mayFail(steps []step, i int) bool {
	return i == len(steps)-1 && b.marks.exit != 0 || b.showsExit(steps, i)
}

// isRunnable reports whether a program may be run here: one of ours, one that reaches nothing but
// the copy, or a file of it.
func isRunnable(program string) bool {
	return isOurs(program) || slices.Contains(runnable, program) || strings.Contains(program, "/") && !strings.HasPrefix(program, "/")
}

// mayRun reports whether a block has commands that are to be run, and all of them may be.
func (b *block) mayRun() bool {
	if !b.isScript() || !b.marks.runs() {
		return false
	}
	steps, err := b.steps()
	return err == nil && !slices.ContainsFunc(steps, func(s step) bool {
		return slices.ContainsFunc(commands(s.text), func(cmd command) bool { return !isRunnable(cmd.words[0]) })
	})
}

func (c *checker) checkCommandOf(d *document, b *block, cmd command, line int) {
	if !b.marks.runs() || c.static {
		c.counts.read++
	}
	switch program := cmd.words[0]; {
	case b.marks.runs() && slices.Contains(unrunnable, program):
		c.find(d, line, "%s is not run here, as it reaches beyond the repository: mark the block skip REASON", program)
		return
	case b.marks.skip != "" && !isRunnable(program):
		return
	}
	if err := c.checkCommand(cmd); err != nil {
		c.find(d, line, "%v", err)
	}
}

// runBlock runs the commands of a block, beside a cluster if it is marked so.
func (c *checker) runBlock(ctx context.Context, d *document, b *block, dir string) {
	steps, err := b.steps()
	if err != nil {
		return // reported
	}
	start := time.Now()
	var found []finding
	for try := range tries {
		found = c.tryBlock(ctx, d, b, steps, dir, try+1)
		if len(found) == 0 || !b.marks.cluster || ctx.Err() != nil {
			break
		}
	}
	for _, f := range found {
		if f.mend != nil {
			c.findChange(d, f.line, *f.mend, "%s", f.what)
		} else {
			c.find(d, f.line, "%s", f.what)
		}
	}
	for _, s := range steps {
		for _, cmd := range commands(s.text) {
			if c.missing[cmd.words[0]] {
				c.counts.absent[cmd.words[0]] = true
				c.counts.read++
			} else {
				c.counts.run++
			}
		}
	}
	if c.verbose {
		fmt.Fprintf(c.out, "%s:%d: ran in %v\n", d.name, b.line, time.Since(start).Round(time.Millisecond))
	}
}

func (c *checker) tryBlock(ctx context.Context, d *document, b *block, steps []step, dir string, seed int) (found []finding) {
	if b.marks.cluster {
		stop, err := c.startCluster(ctx, dir, b.marks.flags, seed)
		if err != nil {
			return []finding{{line: b.line, what: err.Error()}}
		}
		defer stop()
	}
	r, err := c.runScript(ctx, dir, steps, b.language == "sh")
	if err != nil {
		return []finding{{line: b.line, what: err.Error()}}
	}
	for i, s := range steps {
		want := 0
		if i == len(steps)-1 {
			want = b.marks.exit
		}
		if r.exit[i] != want && !b.showsExit(steps, i) {
			line := s.line
			if b.language == "sh" {
				line = b.line + r.line
			}
			what := fmt.Sprintf("exits with %d, want %d", r.exit[i], want)
			if last := lastLine(r.output[i]); last != "" {
				what += ": " + last
			}
			return append(found, finding{line: line, what: what})
		}
		if len(s.want) == 0 || slices.ContainsFunc(commands(s.text), func(cmd command) bool { return c.missing[cmd.words[0]] }) {
			continue
		}
		if f, same := compareStep(d, b, s, r.output[i]); !same {
			found = append(found, f)
		}
	}
	return found
}

// compareStep compares the output of a step with what the document shows.
func compareStep(d *document, b *block, s step, output string) (f finding, same bool) {
	at, got := compare(s.want, output, b.marks.exact)
	if at < 0 {
		return finding{}, true
	}
	first := s.line + 1 + strings.Count(s.text, "\n")
	wanted := "its end"
	if at < len(s.want) {
		wanted = s.want[at]
	}
	f = finding{line: first + at, what: fmt.Sprintf("the output has %q where the document has %q", got, wanted)}
	if !strings.Contains(strings.Join(s.want, "\n"), "...") {
		text := ""
		for _, line := range outputLines(output) {
			text += strings.TrimRight(b.indent+line, " ") + "\n"
		}
		f.mend = &change{d.offset(first), d.offset(first + len(s.want)), text}
	}
	return f, false
}
