package supervisor

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
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
	if r.Dir != "" && r.Env == nil {
		env = append(env, "PWD="+r.Dir) // as package os/exec does
	}
	env = append(env, fmt.Sprintf("CRASHLAB_INCARNATION=%d", incarnation),
		markVariable+"="+os.Getenv(markVariable)+mark)
	if notifySocket != "" {
		env = append(env, notifyVariable+"="+notifySocket)
	}
	return env
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
