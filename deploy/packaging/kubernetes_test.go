package packaging

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// manifests returns what kubectl apply -k DIR would apply. A key that the API does not know, or one
// twice, is an error.
func manifests(t *testing.T, dir string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy", "kubernetes", dir))
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, object)
	}
	return all
}

// one returns the only object of a type.
func one[T any](t *testing.T, all []runtime.Object) *T {
	t.Helper()
	var found []*T
	for _, object := range all {
		if object, ok := object.(any).(*T); ok {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want one", len(found), *new(T))
	}
	return found[0]
}

func TestManifests(t *testing.T) {
	for dir, config := range map[string]bool{".": true, "kubelet": false, "production": true, "experiment": false} {
		t.Run(dir, func(t *testing.T) {
			all := manifests(t, dir)
			if dir == "experiment" {
				checkPod(t, one[batchv1.Job](t, all).Spec.Template.Spec)
				return
			}
			set := one[appsv1.StatefulSet](t, all)
			checkPod(t, set.Spec.Template.Spec)
			for _, selector := range []map[string]string{
				set.Spec.Selector.MatchLabels, one[corev1.Service](t, all).Spec.Selector,
				one[policyv1.PodDisruptionBudget](t, all).Spec.Selector.MatchLabels,
				one[networkingv1.NetworkPolicy](t, all).Spec.PodSelector.MatchLabels,
			} {
				for key, value := range selector {
					if set.Spec.Template.Labels[key] != value {
						t.Errorf("selector %v is not that of the pods, %v", selector, set.Spec.Template.Labels)
					}
				}
			}
			if config {
				checkConfig(t, one[corev1.ConfigMap](t, all).Data["cluster.yaml"])
			}
		})
	}
}

// checkPod checks that pods fit a namespace whose pod security standard is restricted, and more.
func checkPod(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	security := pod.SecurityContext
	if !*security.RunAsNonRoot || *security.RunAsUser == 0 || security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the security context of the pod is %+v", security)
	}
	if *pod.AutomountServiceAccountToken {
		t.Error("the pod may use the API of Kubernetes")
	}
	for _, c := range pod.Containers {
		security := c.SecurityContext
		if *security.AllowPrivilegeEscalation || !*security.ReadOnlyRootFilesystem || !slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("the security context of container %s is %+v", c.Name, security)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("the resources of container %s are %+v", c.Name, c.Resources)
		}
		for _, mount := range c.VolumeMounts {
			if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
				t.Errorf("container %s mounts %s, which is no volume", c.Name, mount.Name)
			}
		}
	}
}

// checkConfig has the supervisor check the cluster file of the pods.
func checkConfig(t *testing.T, text string) {
	t.Helper()
	static := makeStatic(t)
	dir := t.TempDir()
	if strings.Contains(text, "/tls/") {
		certs := filepath.Join(dir, "certs")
		output(t, "go", "run", "./deploy/certs", "-o", certs)
		text = strings.ReplaceAll(text, "/tls/tls", filepath.Join(certs, "server"))
		text = strings.ReplaceAll(text, "/tls", certs)
	}
	file := filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOSTNAME", "counter-0")
	t.Setenv("PATH", static+":"+os.Getenv("PATH"))
	if out := output(t, filepath.Join(static, "supervisor"), "check", file); !strings.Contains(out, "counter-0:") {
		t.Errorf("the replica does not have the name of the pod:\n%s", out)
	}
}
