//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// usage is the resource usage of a process. 1 MB is a million bytes.
type usage struct {
	mb      float64 // resident
	threads int
}

func usageOf(pid int) (u usage, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(text)) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "VmRSS":
			var kib float64
			_, err = fmt.Sscan(value, &kib)
			u.mb = kib * 1024 / 1e6
		case "Threads":
			_, err = fmt.Sscan(value, &u.threads)
		}
		if err != nil {
			return u, fmt.Errorf("status of process %d: %q: %w", pid, line, err)
		}
	}
	return u, nil
}

// cpu returns the CPU time of the threads of a process, in nanoseconds; the process's own counter
// has a resolution of 10 ms.
func cpu(pid int) (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(paths) == 0 {
		return 0, fmt.Errorf("no schedstat of process %d: %v", pid, err)
	}
	var all time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		var ran time.Duration
		if _, err := fmt.Sscan(string(text), (*int64)(&ran)); err != nil {
			return 0, fmt.Errorf("%s: %q: %w", path, text, err)
		}
		all += ran
	}
	return all, nil
}
