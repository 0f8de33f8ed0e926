package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// firstInherited is the first descriptor after stdin, stdout and stderr.
const firstInherited = 3

// keepDescriptors ensures that no process that is launched later, such as a replica of another
// user, inherits the descriptors that this process was started with. It can still use them itself,
// as for --config /dev/fd/63.
func keepDescriptors() error {
	if closeAllOnExec() == nil {
		return nil
	}
	if err := closeEachOnExec(); err != nil {
		return fmt.Errorf("replicas would inherit open files: %w", err)
	}
	return nil
}

// closeEachOnExec is for systems without closeAllOnExec.
func closeEachOnExec() error {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= firstInherited {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}
