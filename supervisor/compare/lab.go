//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Ports are claimed in blocks below the ephemeral range and above the ports of tests.
const (
	lowestPort = 20000
	blockSize  = 300
	blocks     = 40
)

// lab is a temporary directory, the programs built in it, a block of ports, and the processes
// started, which end with it.
type lab struct {
	dir      string
	child    string // path of the child program
	ours     string // path of our supervisor
	records  string
	lock     net.Listener // holds the block of ports
	nextPort int
	running  map[int]bool // IDs of the processes that were started
	started  int
}

// openLab builds what is measured, from the directory of the module. If ours is empty, it builds
// our supervisor too.
func openLab(ctx context.Context, ours string) (*lab, error) {
	// Whatever a supervisor leaves behind becomes our child, and is found.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("subreaper: %w", err)
	}
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return nil, err
	}
	l := &lab{
		dir: dir, child: filepath.Join(dir, "child"), ours: ours,
		records: filepath.Join(dir, "records"), running: make(map[int]bool),
	}
	builds := [][]string{{"-o", l.child, "./child"}}
	if ours == "" {
		l.ours = filepath.Join(dir, "supervisor")
		builds = append(builds, []string{"-C", "../..", "-tags", "grpcnotrace", "-o", l.ours, oursPackage}) // another module; as make static builds it
	}
	for _, args := range builds {
		build := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			l.close()
			return nil, fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	if l.lock, err = claimPorts(); err != nil {
		l.close()
		return nil, err
	}
	l.nextPort = l.lock.Addr().(*net.TCPAddr).Port + 1
	return l, nil
}

// close ends all processes and removes the directory.
func (l *lab) close() {
	clear(l.running)
	l.sweep()
	if l.lock != nil {
		l.lock.Close()
	}
	os.RemoveAll(l.dir)
}

func claimPorts() (net.Listener, error) {
	for _, i := range rand.Perm(blocks) {
		first := lowestPort + i*blockSize
		if lock, err := listen(first); err == nil {
			if allFree(first+1, blockSize-1) {
				return lock, nil
			}
			lock.Close()
		}
	}
	return nil, errors.New("no free ports: too many comparisons are running")
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := listen(port)
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// ports returns the first of n ports that nobody else uses.
func (l *lab) ports(n int) int {
	end := l.lock.Addr().(*net.TCPAddr).Port + blockSize
	if l.nextPort+n > end {
		l.nextPort = end - blockSize + 1
	}
	first := l.nextPort
	l.nextPort += n
	return first
}

// process is a supervisor that was started.
type process struct {
	lab *lab
	cmd *exec.Cmd
	log string
	end syscall.Signal // ends it in an orderly way
}

// start runs a command in a process group of its own, so that Ctrl-C reaches only us.
func (l *lab) start(end syscall.Signal, args ...string) (*process, error) {
	l.started++
	log, err := os.Create(filepath.Join(l.dir, fmt.Sprintf("%d.log", l.started)))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	l.running[cmd.Process.Pid] = true
	return &process{lab: l, cmd: cmd, log: log.Name(), end: end}, nil
}

// stop ends the process as its users do, and then whatever is left of it.
func (p *process) stop() {
	const patience = 3 * time.Second
	_ = p.cmd.Process.Signal(p.end)
	hangs := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait() // an error if the signal ended it
	hangs.Stop()
	delete(p.lab.running, p.cmd.Process.Pid)
	p.lab.sweep()
}

// withLog adds the end of the process's output to an error.
func (p *process) withLog(err error) error {
	if p == nil || err == nil {
		return err
	}
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%w\n%s", err, text[max(0, len(text)-2000):])
}
