package supervisor

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// markVariable is in the environment of each launched process, and so of all
// that descend from it: by its value those are found that left the group. The
// value holds the mark of the launch, after those of outer supervisors.
const markVariable = "SUPERVISOR_ID"

// cgroupPrefix begins the names of our control groups.
const cgroupPrefix = "supervisor-"

// treeID names all processes that descend from launches of one supervisor: 32
// random hexadecimal digits, so that no stranger's environment holds them.
type treeID string

func newTreeID() treeID { return treeID(randomID()) }

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (id treeID) valid() bool {
	b, err := hex.DecodeString(string(id))
	return err == nil && len(b) == 16
}

// mark names the n-th launch; no mark is a part of another.
func (id treeID) mark(n int64) string { return fmt.Sprintf("%s-%d.", id, n) }

// environ returns the environment for a launch of r. Its own comes first, as
// the last value of a variable counts.
func environ(r Replica, incarnation int, mark, notifySocket string) []string {
	env := r.Env
	if env == nil {
		env = inherited()
	}
	env = append([]string(nil), env...)
	if dir, err := filepath.Abs(r.Dir); r.Dir != "" && err == nil && (r.Env == nil || variable(env, "PWD") != "") {
		env = append(env, "PWD="+dir) // what it holds else is where we are
	}
	for name, value := range r.Limits.identity() {
		if have := variable(env, name); have == "" || have == os.Getenv(name) { // else Env sets it
			env = append(env, name+"="+value)
		}
	}
	env = append(env, fmt.Sprintf("CRASHLAB_INCARNATION=%d", incarnation),
		markVariable+"="+os.Getenv(markVariable)+mark)
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
