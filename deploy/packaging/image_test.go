package packaging

import (
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mostBytes is how large the image may be as it is pulled.
const mostBytes = 40e6

// buildImage builds the image as users do, and returns the folder of its root file system and its
// configuration.
func buildImage(t *testing.T) (rootfs string, config imageConfig) {
	t.Helper()
	need(t, "buildah", "runc")
	const image = "localhost/crashlab:packaging"
	output(t, "make", "image", "BUILDER=buildah --storage-driver=vfs", "IMAGE="+image, "VERSION="+version)
	buildah := func(args ...string) string {
		t.Helper()
		return output(t, "buildah", append([]string{"--storage-driver=vfs"}, args...)...)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	buildah("push", "--quiet", image, "oci-archive:"+archive)
	info, err := os.Stat(archive)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the image takes %.1f MB as it is pulled", float64(info.Size())/1e6)
	if info.Size() > mostBytes {
		t.Errorf("the image takes %d bytes, want %.0f at most", info.Size(), mostBytes)
	}
	var inspected struct {
		OCIv1 struct{ Config imageConfig }
	}
	if err := json.Unmarshal([]byte(buildah("inspect", "--type=image", image)), &inspected); err != nil {
		t.Fatal(err)
	}
	container := buildah("from", "--pull-never", image)
	t.Cleanup(func() { try(context.Background(), "buildah", "--storage-driver=vfs", "rm", container) })
	return buildah("mount", container), inspected.OCIv1.Config
}

type imageConfig struct {
	User string
	Env  []string
	Cmd  []string
}

// container is a container that runs.
type container struct {
	t     *testing.T
	id    string
	ended chan error

	mu  sync.Mutex
	log strings.Builder
}

func (c *container) Write(text []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(text)
}

func (c *container) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

// await waits until the container has printed the text n times.
func (c *container) await(text string, n int) {
	c.t.Helper()
	eventually(c.t, text, func() bool {
		select {
		case err := <-c.ended:
			c.t.Fatalf("the container has ended: %v", err)
		default:
		}
		return strings.Count(c.text(), text) >= n
	})
}

// runImage runs the image in a container as Kubernetes would: not root, without capabilities, and
// with nothing to write to.
func runImage(t *testing.T, rootfs string, config imageConfig, mounts map[string]string, args ...string) *container {
	t.Helper()
	bundle := t.TempDir()
	output(t, "runc", "spec", "--bundle", bundle)
	file := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	var uid, gid int
	if _, err := fmt.Sscanf(config.User, "%d:%d", &uid, &gid); err != nil || uid == 0 || gid == 0 {
		t.Fatalf("the image's user is %q, want one by number that is not root", config.User)
	}
	process := spec["process"].(map[string]any)
	process["terminal"] = false
	process["args"] = args
	process["env"] = append(config.Env, "HOSTNAME=counter-0")
	process["user"] = map[string]int{"uid": uid, "gid": gid}
	process["capabilities"] = map[string]any{}
	process["noNewPrivileges"] = true
	spec["root"] = map[string]any{"path": rootfs, "readonly": true}
	for to, from := range mounts {
		spec["mounts"] = append(spec["mounts"].([]any),
			map[string]any{"destination": to, "source": from, "type": "bind", "options": []string{"bind", "ro"}})
	}
	if text, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &container{t: t, id: fmt.Sprintf("crashlab-%d-%d", os.Getpid(), time.Now().UnixNano()), ended: make(chan error, 1)}
	cmd := exec.Command("runc", "run", "--bundle", bundle, c.id)
	cmd.Stdout, cmd.Stderr = c, c
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		try(context.Background(), "runc", "delete", "--force", c.id)
		if t.Failed() {
			t.Logf("the container printed:\n%s", c.text())
		}
	})
	return c
}

// end returns how the container ends.
func (c *container) end() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(patience):
		c.t.Fatalf("it has not ended after %v", patience)
		return nil
	}
}

func TestImage(t *testing.T) {
	rootfs, config := buildImage(t)
	for _, program := range []string{"supervisor", "counterd", "crashlab"} {
		path := filepath.Join(rootfs, "bin", program)
		if got := output(t, path, "--version"); !strings.HasPrefix(got, program+" "+version+" ") {
			t.Errorf("%s --version prints %q", program, got)
		}
		file, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s is not static: it wants a dynamic linker", program)
		}
		file.Close()
	}

	file := filepath.Join(root, "deploy", "kubernetes", "base", "cluster.yaml")
	c := runImage(t, rootfs, config, map[string]string{"/etc/crashlab/cluster.yaml": file}, "supervisor", "--config=/etc/crashlab/cluster.yaml", "--log-json")
	const launch = `"@message":"launched"`
	c.await(launch, 1)
	c.await(`"@message":"ready"`, 1)
	inside := func(args ...string) string { return output(t, "runc", append([]string{"exec", c.id}, args...)...) }
	if list := inside("supervisor", "ctl", "list"); !strings.Contains(list, "counter-0  ready") {
		t.Errorf("the replica does not have the pod's name, or is not ready:\n%s", list)
	}
	inside("supervisor", "ctl", "signal", "kill", "counter-0")
	c.await(launch, 2)
	output(t, "runc", "kill", c.id, "TERM")
	if err := c.end(); err != nil {
		t.Errorf("the supervisor was process 1 and did not stop well: %v", err)
	}
	if !strings.Contains(c.text(), `"incarnation":2`) {
		t.Error("the second launch has no number 2")
	}
}
