package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// languages are the languages that a block may have. From json on, they are not checked.
var languages = []string{"sh", "console", "go", "yaml", "json", "text", "diff", "dockerfile", "ini", "mermaid", "promql", "proto", "svg", "xml"}

// tries is how many times a block is tried beside a cluster, because calls may fail when replicas
// crash.
const tries = 5

// checkBlocks checks the blocks of a document in order.
func (c *checker) checkBlocks(ctx context.Context, d *document) {
	dir := "" // the document's copy of the repository, once it is needed
	for _, b := range d.blocks {
		if ctx.Err() != nil {
			return
		}
		if err := c.checkBlock(ctx, d, b); err != nil {
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

// checkBlock checks a block without running it. It reports the findings about commands itself.
func (c *checker) checkBlock(ctx context.Context, d *document, b *block) error {
	text := strings.Join(b.lines, "\n") + "\n"
	if !b.isScript() && (b.marks.cluster || b.marks.exit != 0 || b.marks.slow) {
		return errors.New("only blocks of sh and console are run: want no mark but skip REASON or file NAME")
	}
	switch {
	case b.language == "":
		return fmt.Errorf("the code block has no language: want ```sh, or one of %s", strings.Join(languages[1:], ", "))
	case !slices.Contains(languages, b.language):
		return fmt.Errorf("the code block has the language %s: want one of %s", b.language, strings.Join(languages, ", "))
	case b.isScript():
		steps, err := b.steps()
		for i, s := range steps {
			if b.mayRun() && i == len(steps)-1 && b.marks.exit != 0 {
				continue // it may show what a wrong command does
			}
			for _, cmd := range s.commands {
				c.checkCommandOf(d, b, cmd, s.line+cmd.line)
			}
		}
		return err
	case b.marks.skip != "":
		return nil
	case b.language == "go":
		return c.checkGoBlock(ctx, text)
	case b.language == "yaml":
		return c.checkYAML(text)
	}
	return nil
}

// isRunnable reports whether the check may run a program: one of ours, a file of the repository, or
// one that changes nothing outside the copy.
func isRunnable(program string) bool {
	return isOurs(program) || slices.Contains(runnable, program) || strings.Contains(program, "/") && !strings.HasPrefix(program, "/")
}

// mayRun reports whether the check may run a block: it is a script of runnable programs only.
func (b *block) mayRun() bool {
	if !b.isScript() || !b.marks.runs() {
		return false
	}
	steps, err := b.steps()
	return err == nil && !slices.ContainsFunc(steps, func(s step) bool {
		return slices.ContainsFunc(s.commands, func(cmd command) bool { return !isRunnable(cmd.words[0]) })
	})
}

func (c *checker) checkCommandOf(d *document, b *block, cmd command, line int) {
	if !b.marks.runs() || c.static {
		c.counts.read++
	}
	if b.marks.skip != "" && !isRunnable(cmd.words[0]) {
		return
	}
	if err := c.checkCommand(cmd); err != nil {
		c.find(d, line, "%v", err)
	}
}

// runBlock runs the commands of a block, beside a cluster if its marks say so.
func (c *checker) runBlock(ctx context.Context, d *document, b *block, dir string) {
	steps, err := b.steps()
	if err != nil {
		return // reported
	}
	var found []finding
	for try := range tries {
		found = c.tryBlock(ctx, d, b, steps, dir, try+1)
		if len(found) == 0 || !b.marks.cluster || ctx.Err() != nil {
			break
		}
	}
	for _, f := range found {
		if f.fix != nil {
			c.findChange(d, f.line, *f.fix, "%s", f.what)
		} else {
			c.find(d, f.line, "%s", f.what)
		}
	}
	for _, s := range steps {
		for _, cmd := range s.commands {
			if c.missing[cmd.words[0]] {
				c.counts.absent[cmd.words[0]] = true
				c.counts.read++
			} else {
				c.counts.run++
			}
		}
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
		if r.exit[i] != want {
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
		if len(s.want) == 0 || slices.ContainsFunc(s.commands, func(cmd command) bool { return c.missing[cmd.words[0]] }) {
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
	at, got := compare(s.want, output)
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
		f.fix = &change{d.offset(first), d.offset(first + len(s.want)), text}
	}
	return f, false
}
