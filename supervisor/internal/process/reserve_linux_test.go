package process

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A launch succeeds when no descriptor is free.
func TestLaunchWithoutDescriptors(t *testing.T) {
	m := newMachine(t, Config{})
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
	for range 10 {
		if end := launch(t, m, Command{Args: []string{"/bin/sh", "-c", "exit 7"}}); end.Code != 7 {
			t.Errorf("it ended with %+v", end)
		}
		m.reading.Wait()
	}
	for _, f := range all {
		f.Close()
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}
