//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// floorCmd is the floor: fork, exec and wait in a loop.
type floorCmd struct {
	Count    int      `arg:""`
	BasePort int      `arg:""`
	Command  []string `arg:"" passthrough:""`
}

// Run always returns an error.
func (f *floorCmd) Run() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var loops sync.WaitGroup
	for i := range f.Count {
		args := append([]string(nil), f.Command...)
		args[1] += fmt.Sprintf("-%d", i)
		args[2] += net.JoinHostPort("127.0.0.1", strconv.Itoa(f.BasePort+i))
		loops.Go(func() {
			for {
				pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
					Env: os.Environ(), Files: []uintptr{null.Fd(), null.Fd(), null.Fd()},
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, "fork:", err)
					return
				}
				for {
					if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
						break
					}
				}
			}
		})
	}
	loops.Wait()
	return fmt.Errorf("nothing to run")
}
