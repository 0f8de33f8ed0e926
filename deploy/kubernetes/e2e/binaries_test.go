package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var build = flag.Bool("build", false, "build Kubernetes, containerd and CoreDNS, which takes half an hour, once for each version")

// kubernetesVersion is that of the module, which its programs do not know.
func kubernetesVersion() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	return strings.TrimSpace(string(out)), err
}

// programs are what a cluster is made of.
var programs = map[string]string{
	"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
	"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
	"coredns":                 "./coredns",
	"pause":                   "./pause",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}

// binaries returns the folder of the programs. They are built once for each state of go.mod, and
// kept in the user's cache.
func binaries(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kubernetes, err := kubernetesVersion()
	if err != nil {
		t.Fatal(err)
	}
	versions, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "crashlab-e2e", fmt.Sprintf("%s-%.4x", kubernetes, sha256.Sum256(versions)))
	var missing []string
	for name := range programs {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 && !*build {
		t.Skipf("no %s in %s: make e2e-kubernetes BUILD=1 builds what is missing, in half an hour", strings.Join(missing, ", "), dir)
	}
	for _, name := range missing {
		t.Logf("building %s", name)
		const version = "k8s.io/component-base/version.git"
		minor := strings.Split(kubernetes, ".")[1]
		flags := fmt.Sprintf("-s -w -X %sVersion=%s -X %sMajor=1 -X %sMinor=%s", version, kubernetes, version, version, minor)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", filepath.Join(dir, name), programs[name])
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, bytes.TrimSpace(out))
		}
	}
	return dir
}
