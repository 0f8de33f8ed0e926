package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/event"
)

const (
	replicas     = 3
	restartDelay = 500 * time.Millisecond
	serviceTime  = "uniform:10ms:50ms"

	// patience bounds what takes milliseconds on an idle machine: only a hang reaches it.
	patience = 2 * time.Minute
)

// programs are the binaries of a cluster, in a folder of their own.
type programs struct{ supervisor, counterd string }

// buildPrograms builds the binaries into dir. The working directory is that of this module.
func buildPrograms(ctx context.Context, dir string) (programs, error) {
	out, err := exec.CommandContext(ctx, "go", "build", "-C", "../../..", "-o", dir+"/",
		"./supervisor/cmd/supervisor", "./services/cmd/counterd").CombinedOutput()
	if err != nil {
		return programs{}, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return programs{filepath.Join(dir, "supervisor"), filepath.Join(dir, "counterd")}, nil
}

// cluster is a supervisor with its replicas, all of them processes.
type cluster struct {
	addrs []string
	lock  net.Listener // on the addresses
	dir   string       // of its logs
	cmd   *exec.Cmd
	ready chan struct{} // closed when all replicas have been ready
	ended chan struct{} // closed when the supervisor's last event has been read
}

// start launches a cluster, and returns when its replicas are ready. Requests crash their replica
// with probability pCrash; equal seeds give equal crashes. The end of ctx ends the
// cluster too.
func (p programs) start(ctx context.Context, pCrash float64, seed uint64) (c *cluster, err error) {
	c = &cluster{ready: make(chan struct{}), ended: make(chan struct{})}
	if c.dir, err = os.MkdirTemp("", "peers-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.remove()
		}
	}()
	if err := c.claim(); err != nil {
		return nil, err
	}
	if err := c.run(ctx, p, pCrash, seed); err != nil {
		return nil, err
	}
	select {
	case <-c.ready:
		return c, nil
	case <-c.ended:
		err = errors.New("it ended before its replicas were ready")
	case <-time.After(patience):
		err = fmt.Errorf("its replicas were not ready after %v", patience)
	}
	_, ended := c.stop()
	return nil, errors.Join(err, ended)
}

// claim finds addresses for the replicas, the ports one after the other.
func (c *cluster) claim() error {
	for {
		lock, addrs, err := lab.Claim(replicas)
		if err != nil {
			return err
		}
		first, last := port(addrs[0]), port(addrs[replicas-1])
		if last-first == replicas-1 {
			c.lock, c.addrs = lock, addrs
			return nil
		}
		lock.Close() // others have some of these ports; the next are elsewhere
	}
}

func port(addr string) int {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		panic(err) // all are HOST:PORT
	}
	return tcp.Port
}

// run starts the supervisor, as a process group of its own so that Ctrl-C reaches only us.
func (c *cluster) run(ctx context.Context, p programs, pCrash float64, seed uint64) error {
	log, err := os.Create(filepath.Join(c.dir, "supervisor.err"))
	if err != nil {
		return err
	}
	defer log.Close()
	c.cmd = exec.CommandContext(ctx, p.supervisor, "--log-level=error",
		fmt.Sprintf("--replicas=%d", replicas), fmt.Sprintf("--base-port=%d", port(c.addrs[0])),
		"--restart-delay="+restartDelay.String(), "--ready=grpc", "--events=-", "--log-dir="+c.dir,
		"--", p.counterd, "--addr={addr}", "--replica={name}",
		fmt.Sprintf("--seed=%d", seed), fmt.Sprintf("--p-crash=%v", pCrash), "--service-time="+serviceTime)
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = patience
	events, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go c.watch(events)
	return nil
}

// watch reads the supervisor's events to their end.
func (c *cluster) watch(events io.Reader) {
	defer close(c.ended)
	lines := json.NewDecoder(events)
	ready := map[string]bool{}
	for {
		var e event.Event
		if lines.Decode(&e) != nil {
			break
		}
		if e.Kind == event.KindReady && len(ready) < replicas {
			if ready[e.Replica] = true; len(ready) == replicas {
				close(c.ready)
			}
		}
	}
	io.Copy(io.Discard, events) // so that an event that cannot be read does not stop the supervisor
}

// stop ends the cluster. It returns what each incarnation of a replica has counted itself, and why
// the supervisor did not end well.
func (c *cluster) stop() ([]record.Count, error) {
	defer c.remove()
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	hangs := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer hangs.Stop()
	<-c.ended
	if err := c.cmd.Wait(); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "supervisor.err"))
		return nil, fmt.Errorf("supervisor: %w\n%s", err, log)
	}
	return readCounts(c.dir)
}

// readCounts returns the counts in the replicas' logs.
func readCounts(dir string) ([]record.Count, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	var counts []record.Count
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			return nil, err
		}
		replica := strings.TrimSuffix(filepath.Base(log), ".log")
		for line := range strings.Lines(string(text)) {
			if n := trials.ReadCount(replica, []byte(line)); n != nil {
				counts = append(counts, *n)
			}
		}
	}
	return counts, nil
}

// remove gives the addresses back and deletes the logs.
func (c *cluster) remove() {
	if c.lock != nil {
		c.lock.Close()
	}
	os.RemoveAll(c.dir)
}
