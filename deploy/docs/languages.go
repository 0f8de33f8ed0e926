package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// checkGoBlock checks a Go file by type, with those of all documents in checkGoFiles, and a part of
// one by its syntax.
func (c *checker) checkGoBlock(d *document, b *block, text string) error {
	position := fmt.Sprintf("//line %s:%d\n", filepath.Join(c.tree.root, d.name), b.line)
	if whole.MatchString(text) {
		// Not main, so that nothing is linked.
		c.goFiles = append(c.goFiles, position+whole.ReplaceAllString(text, "package block"))
		return nil
	}
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p; "+text, 0)
	if err != nil {
		_, err = parser.ParseFile(token.NewFileSet(), "", "package p; func _() { "+text+"}", 0)
	}
	if err != nil {
		return fmt.Errorf("no Go: line %v", err)
	}
	return nil
}

var (
	whole     = regexp.MustCompile(`(?m)^package \w+`)
	goMistake = regexp.MustCompile(`(?m)^(\S+\.md):(\d+)(?::\d+)?: (.*)$`)
)

// checkGoFiles builds the Go files of the documents, each as a package of its own that is laid over
// the repository.
func (c *checker) checkGoFiles(ctx context.Context) error {
	if len(c.goFiles) == 0 {
		return nil
	}
	overlay := map[string]string{}
	args := []string{"build", "-overlay", filepath.Join(c.scratch, "overlay.json")}
	for i, text := range c.goFiles {
		folder := fmt.Sprintf("docsblock%d", i)
		file := filepath.Join(c.scratch, folder+".go")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		overlay[filepath.Join(c.tree.root, folder, "block.go")] = file
		args = append(args, "./"+folder)
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[2], list, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.tree.root
	out, err := cmd.CombinedOutput()
	mistakes := goMistake.FindAllStringSubmatch(string(out), -1)
	for _, m := range mistakes {
		name, relErr := filepath.Rel(c.tree.root, filepath.Join(c.tree.root, strings.TrimPrefix(m[1], c.tree.root)))
		if relErr != nil {
			name = m[1]
		}
		line := 1
		fmt.Sscan(m[2], &line)
		c.find(&document{name: filepath.ToSlash(name)}, line, "%s", m[3])
	}
	if err != nil && len(mistakes) == 0 {
		return fmt.Errorf("go build: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// checkYAML checks a cluster file or a design as its program does, and other YAML by its syntax.
func (c *checker) checkYAML(text string) error {
	var keys map[string]any
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("no YAML: %v", err)
		}
		keys, _ = v.(map[string]any)
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, ok := keys[name]; return ok })
	}
	switch {
	case has("command", "groups"):
		return c.checkFile("cluster.yaml", text, "supervisor", "check")
	case has("factors", "rows", "claims", "schedule", "repeats"):
		return c.checkFile("design.yaml", text, "crashlab", "experiment", "run", "--dry-run")
	}
	return nil
}

// checkFile has one of our programs check a file.
func (c *checker) checkFile(name, text, program string, args ...string) error {
	if err := os.WriteFile(filepath.Join(c.scratch, name), []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(c.tree.root, "bin", program), append(args, name)...)
	cmd.Dir = c.scratch
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return fmt.Errorf("%s %s: %v: %s", program, strings.Join(args, " "), err, line)
}
