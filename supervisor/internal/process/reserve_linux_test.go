package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A launch succeeds when no descriptor is free or only a few are, so that it runs out of them
// halfway. It still goes into a control group if there are any.
func TestLaunchWithoutDescriptors(t *testing.T) {
	m := newMachine(t, Config{})
	group := filepath.Base(m.tree.Handle().Cgroup)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var all []*os.File
	var err error
	for err == nil {
		var f *os.File
		if f, err = os.Open(os.DevNull); err == nil {
			all = append(all, f)
		}
	}
	if !errors.Is(err, syscall.EMFILE) {
		t.Error(err)
	}
	for free := range 12 {
		for range 2 {
			end := launch(t, m, Command{Args: []string{"/bin/sh", "-c", "cat /proc/self/cgroup; exit 7"}})
			if in := strings.Join(end.Output, "\n"); end.Code != 7 || group != "." && !strings.Contains(in, group) {
				t.Errorf("%d descriptors were free: it ended with %+v in %s, want the control group %s", free, end, in, group)
			}
			m.reading.Wait()
		}
		all[free].Close()
	}
	for _, f := range all {
		f.Close()
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}
