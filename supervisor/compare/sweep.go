//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// sweep kills our descendants, except for processes in l.running and theirs, until there are none.
// All of them were started by the measurement.
func (l *lab) sweep() {
	for {
		below := l.strays()
		if len(below) == 0 {
			return
		}
		for _, pid := range below {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, pid := range below {
			// This fails for those that are not our own children yet.
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
	}
}

// strays returns our children, except for those that are running, and their descendants.
func (l *lab) strays() []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name, in parentheses, may contain anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
	}
	var all []int
	var visit func(parent int)
	visit = func(parent int) {
		for _, pid := range children[parent] {
			if !l.running[pid] {
				all = append(all, pid)
				visit(pid)
			}
		}
	}
	visit(os.Getpid())
	return all
}
