package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const initSystem = "/lib/systemd/systemd"

// boot is what process 1 of the namespaces does before it becomes systemd: nothing of the machine's
// own services and settings is left, and what is written is gone with the namespaces.
const boot = `
mount --make-rprivate /
for dir in /run /var/lib /usr/local/bin /etc/systemd; do mount -t tmpfs tmpfs $dir; done
cp "$1"/* /usr/local/bin
mkdir /run/units
cp "$2"/crashlab.service /run/units
for target in default sysinit basic shutdown network-online; do
	printf '[Unit]\nDescription=nothing else\n' >/run/units/$target.target
done
mount --bind "$2" /etc/crashlab
ip link set lo up
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH=/run/units ` + initSystem + ` --show-status=0 --log-target=null
`

// machine is a systemd as process 1 in namespaces of its own.
type machine struct {
	t   *testing.T
	pid string // of process 1
}

func startSystemd(t *testing.T) machine {
	t.Helper()
	need(t, "unshare", "nsenter", "ip", initSystem)
	unit := filepath.Join(root, "deploy", "systemd")
	const etc = "/etc/crashlab" // only a mount point
	if err := os.Mkdir(etc, 0o755); err == nil {
		t.Cleanup(func() { os.Remove(etc) })
	}
	cmd := exec.Command("unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net", "--fork", "--kill-child", "--mount-proc",
		"sh", "-ec", boot, "sh", makeStatic(t), unit)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	m := machine{t: t}
	eventually(t, "systemd", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Skipf("no systemd in namespaces here: %v: %s", err, strings.TrimSpace(errs.String()))
		default:
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if m.pid = strings.TrimSpace(string(children)); m.pid == "" {
			return false
		}
		_, err := m.try("systemctl", "show", "--property=Version")
		return err == nil
	})
	return m
}

func (m machine) try(args ...string) (string, error) {
	return try(m.t.Context(), "nsenter", append([]string{"--target", m.pid, "--all"}, args...)...)
}

func (m machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// property returns a property of the service.
func (m machine) property(name string) string {
	m.t.Helper()
	return m.run("systemctl", "show", "crashlab", "--value", "--property="+name)
}

type status struct {
	Replica  string
	State    string
	Restarts int
	PID      int
}

func (m machine) replicas() (all []status) {
	m.t.Helper()
	text := m.run("supervisor", "ctl", "--control=unix:///run/crashlab/control.sock", "-o", "json", "list")
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var one status
		if err := d.Decode(&one); err != nil {
			m.t.Fatalf("%v in %s", err, text)
		}
		all = append(all, one)
	}
	return all
}

// processes returns the command lines of those that run, but for process 1 and ours.
func (m machine) processes(program string) (lines []string) {
	m.t.Helper()
	for line := range strings.Lines(m.run("ps", "-e", "-o", "args=")) {
		if strings.HasPrefix(line, "/usr/local/bin/"+program) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestServiceUnderSystemd(t *testing.T) {
	m := startSystemd(t)
	m.run("systemctl", "start", "crashlab") // until READY=1
	for _, r := range m.replicas() {
		if r.State != "STATE_READY" && r.Restarts == 0 {
			t.Errorf("the service is up, and replica %s is %s", r.Replica, r.State)
		}
		confined(t, m.run("cat", fmt.Sprintf("/proc/%d/status", r.PID)))
	}

	const calls = 40 // of which 0.3 crash the replica
	m.run("crashlab", "load", "-q", "-n", strconv.Itoa(calls), "-c", "1", "--when-down=wait", "--deadline=2m", "--timeout=0s", "--require-success=1")
	restarts := 0
	for _, r := range m.replicas() {
		restarts += r.Restarts
	}
	if restarts == 0 {
		t.Errorf("no relaunch after %d calls", calls)
	}
	m.run("systemctl", "reload", "crashlab")

	m.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "crashlab")
	eventually(t, "second launch of the supervisor", func() bool {
		return m.property("NRestarts") == "1" && m.property("ActiveState") == "active"
	})
	if all := m.processes("counterd"); len(all) > 3 {
		t.Errorf("after the supervisor was killed there are %d replicas:\n%s", len(all), strings.Join(all, ""))
	}

	m.run("systemctl", "stop", "crashlab")
	if result := m.property("Result"); result != "success" {
		t.Errorf("the result of the service is %s", result)
	}
	if left := m.processes(""); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, ""))
	}
}

// confined checks that the limits of the unit hold for a process.
func confined(t *testing.T, status string) {
	t.Helper()
	fields := map[string]string{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	for name, want := range map[string]string{"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
		if fields[name] != want {
			t.Errorf("%s of a replica is %q, want %q", name, fields[name], want)
		}
	}
	if strings.HasPrefix(fields["Uid"], "0\t") {
		t.Error("a replica runs as root")
	}
}

func TestServiceIsConfined(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze")
	}
	unit := filepath.Join(root, "deploy", "systemd", "crashlab.service")
	output(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=30", unit) // an exposure of 3.0
}
