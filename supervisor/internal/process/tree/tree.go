// Package tree finds and kills the processes that descend from the launches of one supervisor,
// including those that left their process groups.
//
// On Linux they are in a control group (version 2). Where none can be created, they are recognized
// by a mark in their environment, among the orphans that become children of this process. On other
// systems only process groups are known.
package tree

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Variable is an environment variable of every launched process, inherited by its descendants. Its
// value identifies those that left the group: it ends with the mark of the launch, after the marks
// of outer supervisors.
const Variable = "SUPERVISOR_ID"

// cgroupPrefix is the beginning of the names of a tree's control groups.
const cgroupPrefix = "supervisor-"

// Handle is what another process needs to kill a tree.
type Handle struct {
	ID     string // 32 random hexadecimal digits, which no unrelated environment contains
	Cgroup string // directory of its control group; empty: none
}

// CheckID returns an error for an ID that the environment of an unrelated process could contain.
func CheckID(id string) error {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 16 {
		return fmt.Errorf("want an ID of 32 hexadecimal digits")
	}
	return nil
}

// CheckCgroup returns an error for a control group that does not belong to a tree. Killing our own
// would mean killing ourselves.
func CheckCgroup(dir string) error {
	if !strings.HasPrefix(filepath.Base(dir), cgroupPrefix) {
		return fmt.Errorf("want the path of a control group named %s…", cgroupPrefix)
	}
	return nil
}

// RandomID returns 32 random hexadecimal digits.
func RandomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// mark returns the mark of the n-th launch. No mark is contained in another one.
func mark(id string, n int64) string { return fmt.Sprintf("%s-%d.", id, n) }

// Usage is the resource usage of processes, see supervisor.Usage.
type Usage struct {
	CPU    time.Duration
	Memory uint64
}
