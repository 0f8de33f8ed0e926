package tree

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is the directory of a control group of version 2. Empty means none.
type cgroup string

// makeCgroup creates a control group below our own that can be killed as a whole, which requires
// Linux 5.14 and write access to our own.
func makeCgroup(name string) (cgroup, error) {
	self, err := selfCgroup()
	if err != nil {
		return "", err
	}
	c, err := self.make(name)
	if err != nil {
		return "", err
	}
	kind, err := os.ReadFile(c.file("cgroup.type"))
	if err == nil && string(bytes.TrimSpace(kind)) != "domain" {
		err = errors.New("control group of threads") // no process can be put into it
	}
	if err == nil {
		err = unix.Access(c.file("cgroup.kill"), unix.W_OK)
	}
	if err != nil {
		c.remove()
		return "", err
	}
	return c, nil
}

// selfCgroup finds our own control group in the file system.
func selfCgroup() (cgroup, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	return findCgroup(string(groups), string(mounts))
}

// findCgroup finds our own control group in the contents of /proc/self/cgroup and
// /proc/self/mountinfo, see cgroups(7) and proc_pid_mountinfo(5).
func findCgroup(groups, mounts string) (cgroup, error) {
	var path string
	for line := range strings.Lines(groups) {
		if p, ok := strings.CutPrefix(line, "0::"); ok {
			path = strings.TrimSuffix(p, "\n")
		}
	}
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/..") { // none, or outside our namespace
		mounts = ""
	}
	for line := range strings.Lines(mounts) {
		mount, kind, _ := strings.Cut(line, " - ")
		f := strings.Fields(mount)
		if len(f) < 5 || !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		// The root of the mount need not be the root of the hierarchy.
		below, err := filepath.Rel(unescape(f[3]), path)
		if err == nil && filepath.IsLocal(below) {
			return cgroup(filepath.Join(unescape(f[4]), below)), nil
		}
	}
	return "", errors.New("no control group of version 2 can be seen")
}

// unescape restores the separators that mountinfo escapes.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

func (c cgroup) file(name string) string { return filepath.Join(string(c), name) }

// make creates a control group below c.
func (c cgroup) make(name string) (cgroup, error) {
	dir := c.file(name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return cgroup(dir), nil
}

// kill kills all processes in c and below, including those forked meanwhile.
func (c cgroup) kill() error {
	f, err := os.OpenFile(c.file("cgroup.kill"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("1")
	return err
}

// populated reports whether c or a group below has a process. Zombies do not count.
func (c cgroup) populated() bool {
	events, err := os.ReadFile(c.file("cgroup.events"))
	return err == nil && bytes.Contains(events, []byte("populated 1"))
}

// processes returns the IDs of the processes in c and below, without zombies.
func (c cgroup) processes() []int {
	list, _ := os.ReadFile(c.file("cgroup.procs")) // if c is gone, there are none
	pids := parsePIDs(list)
	entries, _ := os.ReadDir(string(c))
	for _, e := range entries {
		if e.IsDir() {
			pids = append(pids, cgroup(c.file(e.Name())).processes()...)
		}
	}
	return pids
}

// empty kills all processes in c, and waits for their end, at most for patience.
func (c cgroup) empty(patience time.Duration) {
	if !c.populated() {
		return
	}
	_ = c.kill() // if it fails, c stays populated
	for end := time.Now().Add(patience); c.populated() && time.Now().Before(end); {
		time.Sleep(500 * time.Microsecond)
	}
}

// remove removes c and all groups below. It fails while there are processes.
func (c cgroup) remove() error {
	entries, err := os.ReadDir(string(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			_ = cgroup(c.file(e.Name())).remove() // if it fails, so does the removal of c
		}
	}
	return unix.Rmdir(string(c))
}
