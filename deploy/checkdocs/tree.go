package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tree is the repository: all files except those that git ignores.
type tree struct {
	root  string
	files []string // paths from root, with slashes, sorted
	known map[string]bool
}

// openTree lists the repository that contains dir.
func openTree(dir string) (*tree, error) {
	root, err := git(dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	t := &tree{root: strings.TrimSpace(root), known: map[string]bool{".": true}}
	list, err := git(t.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	for _, file := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(t.root, file)); err != nil {
			continue // removed, but not from the index yet
		}
		t.files = append(t.files, file)
		for p := file; p != "."; p = path.Dir(p) {
			t.known[p] = true
		}
	}
	slices.Sort(t.files)
	t.files = slices.Compact(t.files)
	return t, nil
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return "", fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// documents returns the names of all documents.
func (t *tree) documents() (names []string) {
	for _, file := range t.files {
		if path.Ext(file) == ".md" {
			names = append(names, file)
		}
	}
	return names
}

// has reports whether name, a path from the root or a pattern, is a file or a folder.
func (t *tree) has(name string) bool {
	name = path.Clean(name)
	if !strings.ContainsAny(name, "*?[") {
		return t.known[name]
	}
	for known := range t.known {
		if ok, err := path.Match(name, known); ok && err == nil {
			return true
		}
	}
	return false
}

// within reports whether name begins with a file or a folder of the root, so that it must exist.
func (t *tree) within(name string) bool {
	first, _, below := strings.Cut(path.Clean(name), "/")
	return below && t.known[first]
}

func (t *tree) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(name)))
	return string(text), err
}

// copy copies the files of the repository, and the programs in bin, to dir.
func (t *tree) copy(dir string) error {
	files := t.files
	for _, program := range programs {
		files = append(slices.Clip(files), "bin/"+program)
	}
	for _, file := range files {
		from, to := filepath.Join(t.root, file), filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}
