package main

import (
	"context"
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

var (
	wholeFile = regexp.MustCompile(`(?m)^package \w+`)
	mistake   = regexp.MustCompile(`block\.go:(\d+):(?:\d+:)? (.*)`)
)

// checkGoBlock checks a Go file with go vet, and a part of one by its syntax.
func (c *checker) checkGoBlock(ctx context.Context, text string) error {
	if !wholeFile.MatchString(text) {
		if _, err := format.Source([]byte(text)); err != nil {
			return fmt.Errorf("not Go: line %v", err)
		}
		return nil
	}
	file := filepath.Join(c.scratch, "block.go")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "vet", file)
	cmd.Dir = c.tree.root
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if m := mistake.FindSubmatch(out); m != nil {
		return fmt.Errorf("go vet: line %s: %s", m[1], m[2])
	}
	return fmt.Errorf("go vet: %v: %s", err, strings.TrimSpace(string(out)))
}

// checkYAML checks a cluster file or a design as its program does, and other YAML by its syntax.
func (c *checker) checkYAML(text string) error {
	var keys map[string]any
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("not YAML: %v", err)
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
