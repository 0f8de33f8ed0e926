package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// netns enables the tests that create network namespaces.
var netns = flag.Bool("netns", false, "run the tests on machines that are network namespaces, as root")

// network is a number of machines, which are network namespaces connected by a bridge.
type network struct {
	t     *testing.T
	hub   string // namespace of the bridge
	hosts []host
}

// host is a machine.
type host struct {
	t     *testing.T
	space string // namespace
	ip    string
}

// newNetwork creates a network of n machines, and removes it when the test ends.
func newNetwork(t *testing.T, n int) *network {
	t.Helper()
	switch {
	case !*netns:
		t.Skip("without -netns: see make e2e-netns")
	case os.Geteuid() != 0:
		t.Skip("not root")
	}
	for _, program := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s", program)
		}
	}
	w := &network{t: t, hub: newSpace(t, "hub")}
	command(t, "ip", "-n", w.hub, "link", "add", "bridge", "type", "bridge")
	command(t, "ip", "-n", w.hub, "link", "set", "bridge", "up")
	for i := range n {
		h := host{t: t, space: newSpace(t, fmt.Sprint(i)), ip: fmt.Sprintf("10.77.0.%d", i+1)}
		port := fmt.Sprintf("host%d", i)
		command(t, "ip", "-n", w.hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.space)
		command(t, "ip", "-n", w.hub, "link", "set", port, "master", "bridge", "up")
		command(t, "ip", "-n", h.space, "addr", "add", h.ip+"/24", "dev", "eth0")
		command(t, "ip", "-n", h.space, "link", "set", "eth0", "up")
		command(t, "ip", "-n", h.space, "link", "set", "lo", "up")
		h.nft("add table inet test")
		h.nft("add chain inet test in { type filter hook input priority 0; }")
		h.nft("add chain inet test out { type filter hook output priority 0; }")
		w.hosts = append(w.hosts, h)
	}
	return w
}

// newSpace creates a network namespace.
func newSpace(t *testing.T, name string) string {
	t.Helper()
	space := fmt.Sprintf("crashlab-%d-%s", os.Getpid(), name)
	command(t, "ip", "netns", "add", space)
	t.Cleanup(func() { command(t, "ip", "netns", "del", space) })
	return space
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (h host) file() string { return "/run/netns/" + h.space }

func (h host) nft(words string) {
	h.t.Helper()
	command(h.t, "nsenter", append([]string{"--net=" + h.file(), "nft"}, strings.Fields(words)...)...)
}

// start runs a program on the machine.
func (h host) start(program string, args ...string) *process {
	h.t.Helper()
	return startCommand(h.t, "nsenter", append([]string{"--net=" + h.file(), "bin/" + program}, args...)...)
}

// deafen drops all packets that the machine receives.
func (h host) deafen() { h.nft("add rule inet test in iifname eth0 drop") }

// mute drops all packets that the machine sends.
func (h host) mute() { h.nft("add rule inet test out oifname eth0 drop") }

// lose drops 1% of the packets that the machine receives.
func (h host) lose() { h.nft("add rule inet test in iifname eth0 numgen random mod 100 < 1 drop") }

// heal undoes deafen, mute and lose.
func (h host) heal() {
	h.nft("flush chain inet test in")
	h.nft("flush chain inet test out")
}

// delay delays packets that the machine sends. It returns false if the kernel has no netem.
func (h host) delay() bool {
	_, err := exec.Command("tc", "-n", h.space, "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "10ms", "5ms").CombinedOutput()
	return err == nil
}

// dial connects from the machine.
func (h host) dial(ctx context.Context, addr string) (net.Conn, error) {
	theirs, err := os.Open(h.file())
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	ours, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	// A socket belongs to the namespace of the thread that created it.
	runtime.LockOSThread()
	if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if back := unix.Setns(int(ours.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, errors.Join(err, back) // the thread ends with this goroutine, which still locks it
	}
	runtime.UnlockOSThread()
	return conn, err
}
