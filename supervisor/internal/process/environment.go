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

// environ returns the environment for a launch of c. The command's own variables come first,
// because the last value of a variable wins.
func environ(c Command, mark, notifySocket string) []string {
	env := c.Env
	if env == nil {
		env = inherited()
	}
	env = slices.Clip(env) // c.Env is shared by all launches
	if dir, err := filepath.Abs(c.Dir); c.Dir != "" && err == nil && (c.Env == nil || variable(env, "PWD") != "") {
		env = append(env, "PWD="+dir) // an inherited PWD would be the supervisor's directory
	}
	for name, value := range limits(c.Limits).identity() {
		if have := variable(env, name); have == "" || have == os.Getenv(name) { // otherwise Env sets it
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

// variable returns the last value of a variable in env, or "".
func variable(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// LookPath returns the path by which a replica's program is launched: of a program without a slash,
// the first in PATH that can be executed. PATH is that of env, where relative directories are
// relative to dir, or else the supervisor's. A program with a slash is returned unchanged.
func LookPath(program, dir string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	path := variable(env, "PATH")
	if path == "" || path == os.Getenv("PATH") {
		return exec.LookPath(program)
	}
	for _, at := range filepath.SplitList(path) {
		if !filepath.IsAbs(at) {
			at = filepath.Join(dir, at)
		}
		at, err := filepath.Abs(filepath.Join(at, program))
		if err != nil {
			continue
		}
		if _, err := exec.LookPath(at); err == nil {
			return at, nil
		}
	}
	return "", &exec.Error{Name: program, Err: fmt.Errorf("%w, which env sets to %q", exec.ErrNotFound, path)}
}

// inherited returns the supervisor's environment without NOTIFY_SOCKET, which is not meant for
// replicas.
func inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, notifyVariable+"=") })
}
