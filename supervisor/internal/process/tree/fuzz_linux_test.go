package tree

import (
	"path/filepath"
	"strings"
	"testing"
)

// A control group that is found is below a mount point of control groups.
func FuzzFindCgroup(f *testing.F) {
	f.Add("0::/docker/1/x\n", "41 31 0:38 /docker/1 /my\\040cg rw - cgroup2 cgroup2 rw\n")
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		got, err := findCgroup(groups, mounts)
		if (got == "") != (err != nil) {
			t.Errorf("%q, %v", got, err)
		}
		if err != nil {
			return
		}
		for line := range strings.Lines(mounts) {
			if f := strings.Fields(line); len(f) > 4 && strings.Contains(line, " - cgroup2 ") {
				if below, err := filepath.Rel(unescape(f[4]), string(got)); err == nil && filepath.IsLocal(below) {
					return
				}
			}
		}
		t.Errorf("%q is not in %q", got, mounts)
	})
}

// The name of a process does not change its kind.
func FuzzKindOf(f *testing.F) {
	f.Add("a) Z (b", "R", uint64(4), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, name, state string, flags, code, envEnd uint64) {
		if strings.Contains(state, ")") {
			return
		}
		if got, wanted := kindOf(stat(name, state, flags, code, 1, envEnd)), kindOf(stat("a", state, flags, code, 1, envEnd)); got != wanted {
			t.Errorf("with the name %q: kind %d, want %d", name, got, wanted)
		}
		_ = kindOf([]byte(name)) // must not panic
	})
}

// What the kernel answers cannot break the supervisor.
func FuzzAppendListeners(f *testing.F) {
	f.Add(listenersRequest(2, 80), uint16(80))
	f.Fuzz(func(t *testing.T, part []byte, port uint16) {
		if all, _, err := appendListeners(nil, part, port); err != nil && all != nil {
			t.Errorf("got both %v and the error %v", all, err)
		}
	})
}
