package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"example.com/crashlab/supervisor/internal/process/tree"
)

// environ returns the environment for a launch of c. Its own comes first, as
// the last value of a variable counts.
func environ(c Command, mark, notifySocket string) []string {
	env := c.Env
	if env == nil {
		env = inherited()
	}
	env = append([]string(nil), env...)
	if dir, err := filepath.Abs(c.Dir); c.Dir != "" && err == nil && (c.Env == nil || variable(env, "PWD") != "") {
		env = append(env, "PWD="+dir) // what it holds else is where we are
	}
	for name, value := range c.Limits.identity() {
		if have := variable(env, name); have == "" || have == os.Getenv(name) { // else Env sets it
			env = append(env, name+"="+value)
		}
	}
	env = append(env, fmt.Sprintf("CRASHLAB_INCARNATION=%d", c.Incarnation),
		tree.Variable+"="+os.Getenv(tree.Variable)+mark)
	if notifySocket != "" {
		env = append(env, notifyVariable+"="+notifySocket)
	}
	return env
}

// variable returns the value of a variable; empty: there is none.
func variable(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// lookPath returns the path of a program as the PATH of its environment has it,
// where that is another than ours. Relative directories are below dir.
func lookPath(program, dir string, env []string) (string, error) {
	path := variable(env, "PATH")
	if strings.Contains(program, "/") || path == "" || path == os.Getenv("PATH") {
		return program, nil
	}
	for _, at := range filepath.SplitList(path) {
		if !filepath.IsAbs(at) {
			at = filepath.Join(dir, at)
		}
		at, err := filepath.Abs(filepath.Join(at, program))
		if err != nil {
			continue
		}
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return at, nil
		}
	}
	return "", &exec.Error{Name: program, Err: fmt.Errorf("%w, which env sets to %q", exec.ErrNotFound, path)}
}

// inherited returns our environment without the socket that is for us alone.
func inherited() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, notifyVariable+"=") {
			env = append(env, v)
		}
	}
	return env
}
