package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	masterIP = "10.78.0.1"
	server   = "https://" + masterIP + ":6443"
	token    = "e2e" // nothing but these machines reaches the server
)

// cluster is a whole Kubernetes: a machine with the control plane, DNS and the bridge to which all
// are connected, two nodes, and a machine outside for clients.
type cluster struct {
	t, whole testing.TB // the test that runs, and the one that contains it
	bin      string     // the folder of the programs
	dir      string
	master   *machine
	nodes    []*node
	client   *machine
	config   string // the kubeconfig
}

type node struct {
	*machine
	groups    []string // the control groups of its pods, one in each hierarchy
	podPrefix string   // with which the addresses of its pods begin
	kubelet   *service
}

func (n *node) podNet() string { return n.podPrefix + "0/24" }

// startCluster returns a cluster whose nodes have the image.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	for _, program := range []string{"ip", "nft", "nsenter", "unshare", "runc", "buildah", "etcd", "openssl", "/usr/lib/cni/bridge"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s: want Debian's iproute2, nftables, runc, buildah, etcd-server, openssl and containernetworking-plugins", program)
		}
	}
	c := &cluster{t: t, whole: t, bin: binaries(t)}
	var err error
	if c.dir, err = os.MkdirTemp("", "e2e"); err != nil { // short, as paths of sockets are bounded
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs are in %s", c.dir)
			return
		}
		os.RemoveAll(c.dir)
	})
	c.master = c.newMachine("master", masterIP)
	c.master.run("ip", "link", "add", "bridge", "type", "bridge")
	c.master.run("ip", "addr", "add", masterIP+"/24", "dev", "bridge")
	c.master.run("ip", "link", "set", "bridge", "up")
	c.client = c.newMachine("client", "10.78.0.100")
	c.client.connect(c.master)
	c.startControlPlane()
	images := c.images()
	for i := range 2 {
		c.nodes = append(c.nodes, c.startNode(i, images))
	}
	for _, n := range c.nodes {
		for _, m := range []*machine{c.master, c.client, c.nodes[0].machine, c.nodes[1].machine} {
			if m != n.machine {
				m.run("ip", "route", "add", n.podNet(), "via", n.ip)
			}
		}
	}
	c.awaitNodes()
	return c
}

// awaitNodes waits until all nodes have registered and are ready.
func (c *cluster) awaitNodes() {
	c.t.Helper()
	eventually(c.t, "nodes that are ready", func() bool {
		ready, err := c.tryKubectl("get", "nodes", `-o=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		return err == nil && ready == "True True"
	})
}

func (c *cluster) startControlPlane() {
	m := c.master
	etcd := "http://" + masterIP + ":2379"
	m.start(nil, "etcd", "--data-dir=/run/etcd", // in memory
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://"+masterIP+":2380", "--initial-advertise-peer-urls=http://"+masterIP+":2380",
		"--initial-cluster=default=http://"+masterIP+":2380")

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		c.t.Fatal(err)
	}
	keyFile := m.write("accounts.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	api := m.start(nil, filepath.Join(c.bin, "kube-apiserver"), "--etcd-servers="+etcd, "--bind-address="+masterIP, "--advertise-address="+masterIP,
		"--cert-dir="+filepath.Join(m.dir, "certs"), "--token-auth-file="+m.write("tokens.csv", token+",admin,admin,system:masters\n"),
		"--authorization-mode=AlwaysAllow", "--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.80.0.0/16",
		"--endpoint-reconciler-type=none", "--kubelet-preferred-address-types=InternalIP")
	c.config = m.write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: e2e, context: {cluster: e2e, user: admin}}]
current-context: e2e
`, server, token))
	eventually(c.t, "API server", func() bool {
		select {
		case <-api.ended:
			c.t.Fatal("the API server has ended")
		default:
		}
		_, err := c.tryKubectl("get", "--raw=/readyz")
		return err == nil
	})
	m.start(nil, filepath.Join(c.bin, "kube-controller-manager"), "--kubeconfig="+c.config, "--leader-elect=false",
		"--service-account-private-key-file="+keyFile, "--cert-dir="+filepath.Join(m.dir, "cm-certs"))
	m.start(nil, filepath.Join(c.bin, "kube-scheduler"), "--kubeconfig="+c.config, "--leader-elect=false", "--cert-dir="+filepath.Join(m.dir, "sch-certs"))
	m.start(nil, filepath.Join(c.bin, "coredns"), "-conf", m.write("Corefile", fmt.Sprintf(`.:53 {
	bind %s
	errors
	kubernetes cluster.local {
		kubeconfig %s
	}
}
`, masterIP, c.config)))
}

// images builds the images that the nodes need, and returns their archives.
func (c *cluster) images() []string {
	c.t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		c.t.Fatal(err)
	}
	const ours, pause = "docker.io/library/crashlab:latest", "localhost/pause:e2e"
	buildah := []string{"buildah", "--storage-driver=vfs", "--root=" + filepath.Join(c.dir, "images"), "--runroot=" + filepath.Join(c.dir, "run")}
	command(c.t, "make", "-C", root, "image", "IMAGE="+ours, "BUILDER="+strings.Join(buildah, " "))
	context := filepath.Join(c.dir, "pause")
	file := c.master.write("Dockerfile", "FROM scratch\nCOPY pause /pause\nENTRYPOINT [\"/pause\"]\n")
	if err := os.Mkdir(context, 0o755); err != nil {
		c.t.Fatal(err)
	}
	command(c.t, "cp", filepath.Join(c.bin, "pause"), context)
	run := func(args ...string) { command(c.t, buildah[0], append(buildah[1:], args...)...) }
	run("build", "--quiet", "-t", pause, "-f", file, context)
	var archives []string
	for i, image := range []string{ours, pause} {
		archives = append(archives, filepath.Join(c.dir, fmt.Sprintf("image%d.tar", i)))
		run("push", "--quiet", image, "docker-archive:"+archives[i]+":"+image)
	}
	return archives
}

func (c *cluster) startNode(i int, images []string) *node {
	c.t.Helper()
	name := fmt.Sprintf("node%d", i+1)
	group := fmt.Sprintf("e2e-%d-%s", os.Getpid(), name)
	n := &node{podPrefix: fmt.Sprintf("10.79.%d.", i+1), groups: c.makeControlGroups(group)}
	n.machine = c.newMachine(name, fmt.Sprintf("10.78.0.%d", 11+i))
	n.connect(c.master)
	in := func(name string) string { return filepath.Join(n.dir, name) }

	n.write("cni/10-pods.conflist", fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "pods", "plugins": [{
	"type": "bridge", "bridge": "pods0", "isGateway": true,
	"ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q}
}]}`, n.podNet(), in("addresses")))
	socket := in("containerd.sock")
	n.start(nil, filepath.Join(c.bin, "containerd"), "--config", n.write("containerd.toml", fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"
[grpc]
  address = %q
[ttrpc]
  address = %q
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:e2e"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = %q
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "/usr/sbin/runc"
  SystemdCgroup = false
`, in("containerd"), socket, in("ttrpc.sock"), in("cni"))))
	ctr := func(args ...string) (string, error) {
		return n.try(append([]string{filepath.Join(c.bin, "ctr"), "--address", socket, "--namespace", "k8s.io"}, args...)...)
	}
	eventually(c.t, "containerd", func() bool {
		_, err := ctr("images", "list")
		return err == nil
	})
	for _, archive := range images {
		if out, err := ctr("images", "import", archive); err != nil {
			c.t.Fatalf("%v\n%s", err, out)
		}
	}

	config := n.write("kubelet.yaml", fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
cgroupRoot: /%s
failCgroupV1: false
enforceNodeAllocatable: [none]
failSwapOn: false
makeIPTablesUtilChains: false
clusterDNS: [%s]
clusterDomain: cluster.local
podLogsDir: %s
volumePluginDir: %s
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", imagefs.available: "0%%", nodefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
`, socket, group, masterIP, in("pods"), in("plugins")))
	n.kubelet = n.start(nil, filepath.Join(c.bin, "kubelet"), "--config="+config, "--kubeconfig="+c.config, "--hostname-override="+name,
		"--node-ip="+n.ip, "--root-dir="+in("kubelet"), "--cert-dir="+in("certs"))
	return n
}

// crashlab returns the program, which is in the image too.
func (c *cluster) crashlab() string {
	c.t.Helper()
	path, err := filepath.Abs("../../../bin/static/crashlab")
	if err != nil {
		c.t.Fatal(err)
	}
	return path
}

// makeControlGroups makes the group in which the kubelet puts its pods, in all hierarchies.
func (c *cluster) makeControlGroups(name string) (groups []string) {
	c.t.Helper()
	hierarchies, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if err != nil {
		c.t.Fatal(err)
	}
	if len(hierarchies) == 0 {
		hierarchies = []string{"/sys/fs/cgroup/cgroup.procs"}
	}
	for _, h := range hierarchies {
		group := filepath.Join(filepath.Dir(h), name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			c.t.Fatal(err)
		}
		groups = append(groups, group)
		c.t.Cleanup(func() {
			eventually(c.t, "end of the processes in "+group, func() bool {
				_, err := try("find", group, "-depth", "-type", "d", "-delete")
				return err == nil
			})
		})
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // which a new group does not inherit
		if all, err := os.ReadFile("/sys/fs/cgroup/cpuset/" + file); err == nil {
			os.WriteFile(filepath.Join("/sys/fs/cgroup/cpuset", name, file), all, 0o644)
		}
	}
	return groups
}

func (c *cluster) tryKubectl(args ...string) (string, error) {
	return c.master.try(append([]string{"env", "HOME=" + c.dir, filepath.Join(c.bin, "kubectl"), "--kubeconfig=" + c.config}, args...)...)
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.tryKubectl(args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
