package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const patience = 10 * time.Minute // for what must happen, on a machine however slow

// command runs a program to its end, and returns what it prints.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := try(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}

// eventually polls until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("after %v still no %s", patience, what)
		}
	}
}

// machine is a computer made of namespaces. Everything that runs on it ends with the test, however
// that ends.
type machine struct {
	c    *cluster
	name string
	ip   string
	dir  string // its files, and the logs of its programs
	init int    // the process that holds the namespaces
}

// prepare turns namespaces into a machine. The files of the kubelet and of containerd are its own.
// So are, as far as the kubelet can see, three settings of the kernel that the kubelet would change
// for the whole computer. The machine lasts until standard input ends.
const prepare = `
mount --make-rprivate /
for dir in /run /var/lib /var/log; do mount -t tmpfs tmpfs $dir; done
cover() { echo $2 >"$1"; mount --bind "$1" $3; }
cover "$1/overcommit_memory" 1 /proc/sys/vm/overcommit_memory
cover "$1/panic" 10 /proc/sys/kernel/panic
cover "$1/panic_on_oops" 1 /proc/sys/kernel/panic_on_oops
echo nameserver $2 >"$1/resolv.conf"
printf "search svc.cluster.local cluster.local\noptions ndots:5\n" >>"$1/resolv.conf"
mount --bind "$1/resolv.conf" /etc/resolv.conf
ip link set lo up
echo ready
exec cat
`

// newMachine makes a machine without a network.
func (c *cluster) newMachine(name, ip string) *machine {
	c.t.Helper()
	m := &machine{c: c, name: name, ip: ip, dir: filepath.Join(c.dir, name)}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc",
		"sh", "-ec", prepare, "sh", m.dir, masterIP)
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		in.Close()
		cmd.Wait() // returns once the last process of the machine has ended
	})
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		in.Close()
		cmd.Wait()
		c.t.Fatalf("no namespaces: %s", &errs)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	if m.init, err = strconv.Atoi(strings.TrimSpace(string(children))); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// connect connects the machine to the bridge of another.
func (m *machine) connect(hub *machine) {
	m.c.t.Helper()
	// By the process IDs of the computer: the hub has others.
	command(m.c.t, "nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", hub.init), "ip", "link", "add", "name", m.name,
		"type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(m.init))
	hub.run("ip", "link", "set", "dev", m.name, "master", "bridge", "up")
	m.run("ip", "addr", "add", m.ip+"/24", "dev", "eth0")
	m.run("ip", "link", "set", "eth0", "up")
}

// inside returns the command that runs another one on the machine.
func (m *machine) inside(args ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(m.init), "--net", "--mount", "--pid", "--uts"}, args...)
}

func (m *machine) run(args ...string) string {
	m.c.t.Helper()
	args = m.inside(args...)
	return command(m.c.t, args[0], args[1:]...)
}

func (m *machine) try(args ...string) (string, error) {
	args = m.inside(args...)
	return try(args[0], args[1:]...)
}

// service is a program that runs on a machine, until the machine is gone at the latest.
type service struct {
	m     *machine
	name  string
	line  []string // its command
	ended chan struct{}
	err   error // valid then
}

// start starts a program. Its output is in its log; standard output goes to out if that is not nil.
func (m *machine) start(out io.Writer, program string, args ...string) *service {
	m.c.t.Helper()
	s := &service{m: m, name: filepath.Base(program), line: append([]string{program}, args...), ended: make(chan struct{})}
	log, err := os.OpenFile(filepath.Join(m.dir, s.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		m.c.t.Fatal(err)
	}
	defer log.Close()
	if err := os.Remove(s.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		m.c.t.Fatal(err)
	}
	line := m.inside(append([]string{"sh", "-c", `echo $$ >"$0.new"; mv "$0.new" "$0"; exec "$@"`, s.pidFile()}, s.line...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if out != nil {
		cmd.Stdout = out
	}
	cmd.Env = append(os.Environ(), "PATH="+m.c.bin+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		m.c.t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.err = cmd.Wait()
	}()
	return s
}

func (s *service) pidFile() string { return filepath.Join(s.m.dir, s.name+".pid") }

// signal sends the program a signal by its name.
func (s *service) signal(name string) {
	s.m.c.t.Helper()
	var pid []byte
	eventually(s.m.c.t, "process of "+s.name, func() (ok bool) {
		pid, _ = os.ReadFile(s.pidFile())
		return len(pid) > 0
	})
	s.m.run("kill", "-"+name, strings.TrimSpace(string(pid)))
}

// exitCode waits for the program's end.
func (s *service) exitCode() int {
	s.m.c.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.m.c.t.Fatalf("%s has not ended after %v", s.name, patience)
	}
	if exit, ok := errors.AsType[*exec.ExitError](s.err); ok {
		return exit.ExitCode()
	}
	if s.err != nil {
		s.m.c.t.Fatal(s.err)
	}
	return 0
}

func (m *machine) tail(name string) string {
	text, err := os.ReadFile(filepath.Join(m.dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// write writes a file of the machine, and returns its path.
func (m *machine) write(name, text string) string {
	m.c.t.Helper()
	path := filepath.Join(m.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644)); err != nil {
		m.c.t.Fatal(err)
	}
	return path
}
