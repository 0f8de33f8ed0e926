// Package floors checks that imports point down: packages are on floors, and import only from lower
// floors.
package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "example.com/crashlab/"

// floors lists the packages from the top floor down. A package may import from lower floors and
// from its own subtree. Its tests may also use a package of the same floor, as those of the fault
// injectors use the Counter.
var floors = [][]string{
	{"deploy/integration", "deploy/floors", "deploy/gotest", "deploy/certs", "deploy/checkdocs"},
	{"services/cmd/counterd", "supervisor/cmd/supervisor", "client/cmd/crashlab"},
	{"client/live"},
	{"client/report", "supervisor/clusterfile"},
	{"supervisor/control", "client/experiment"},
	{"services/counter", "services/fault", "client/workload", "client/failover/otelfailover", "client/cluster"},
	{"supervisor/transport", "supervisor/commandline"},
	{"gen", "supervisor", "supervisor/inputfile", "supervisor/parse", "supervisor/version", "client/failover", "client/stats", "client/look", "client/browsertest"},
}

// grpc is gRPC and its dependencies.
var grpc = []string{
	"google.golang.org/grpc", "google.golang.org/protobuf",
	"google.golang.org/genproto/googleapis/rpc", "golang.org/x/net", "golang.org/x/sys", "golang.org/x/text",
}

// allowedDependencies limits the dependencies of a package, direct and indirect, beyond the
// standard library and the package itself. The values are prefixes.
var allowedDependencies = map[string][]string{
	"supervisor":                  {"golang.org/x/sys"},
	"supervisor/inputfile":        {"github.com/goccy/go-yaml"},
	"supervisor/parse":            nil,
	"supervisor/restart":          {"golang.org/x/sys"},
	"supervisor/event":            {"golang.org/x/sys", module + "supervisor/restart"},
	"supervisor/spec":             {"golang.org/x/sys", module + "supervisor/restart"},
	"supervisor/status":           {"golang.org/x/sys", module + "supervisor/restart"},
	"supervisor/version":          nil,
	"supervisor/commandline":      {"github.com/alecthomas/kong", module + "supervisor/parse", module + "supervisor/version"},
	"supervisor/transport":        slices.Concat(grpc, []string{module + "supervisor/inputfile", "github.com/goccy/go-yaml"}),
	"supervisor/transport/issuer": nil,
	"client/failover":             grpc,
	"client/failover/virtual":     {module + "client/failover/internal/core"},
	"supervisor/virtual":          {"golang.org/x/sys", module + "supervisor/event", module + "supervisor/internal/lifecycle", module + "supervisor/restart", module + "supervisor/status"},
	"client/failover/otelfailover": slices.Concat(grpc, []string{
		module + "client/failover", "go.opentelemetry.io/otel",
		// The OpenTelemetry API's own dependencies.
		"go.opentelemetry.io/auto/sdk", "github.com/go-logr", "github.com/cespare/xxhash",
	}),
	"client/stats": {"gonum.org/v1/gonum"},
	"client/look":  nil,
}

// allowedImporters limits which packages may import an API that is experimental, or that only a
// main package should use. The values are prefixes.
var allowedImporters = map[string]string{
	"google.golang.org/grpc/balancer": "client/failover/internal/",
	"google.golang.org/grpc/resolver": "client/failover/internal/",
	// The frequency of DNS lookups is a property of the whole process.
	"google.golang.org/grpc/resolver/dns": "client/cmd/",
	"go.opentelemetry.io/otel/sdk":        "client/cmd/",
}

type pkg struct {
	ImportPath                         string
	Standard                           bool
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v: %v: %s", cmd, err, exit.Stderr)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// floorOf returns the entry of floors that a package belongs to, and its floor counted from the top,
// or -1.
func floorOf(path string) (entry string, floor int) {
	path = strings.TrimPrefix(path, module)
	floor = -1
	for i, entries := range floors {
		for _, e := range entries {
			if (path == e || strings.HasPrefix(path, e+"/")) && len(e) > len(entry) {
				entry, floor = e, i
			}
		}
	}
	return entry, floor
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel() // go list takes most of the time
	for _, p := range list(t, "./...") {
		entry, floor := floorOf(p.ImportPath)
		if floor < 0 {
			t.Errorf("%s is on no floor: add it to floors", p.ImportPath)
		}
		check := func(imports []string, highest int) {
			for _, imp := range imports {
				if !strings.HasPrefix(imp, module) {
					continue
				}
				if below, under := floorOf(imp); under < highest && below != entry {
					t.Errorf("%s imports %s, which is not on a lower floor", p.ImportPath, imp)
				}
				if below, _ := floorOf(imp); strings.Contains(imp, "/cmd/") && below != entry {
					t.Errorf("%s imports the command %s", p.ImportPath, imp)
				}
			}
		}
		check(p.Imports, floor+1)
		check(slices.Concat(p.TestImports, p.XTestImports), floor)
	}
}

func TestIntegrationImportsOnlyClientPackages(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./deploy/integration") {
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if entry, _ := floorOf(imp); strings.HasPrefix(imp, module) && !slices.Contains([]string{"gen", "client/failover", "client/browsertest"}, entry) {
				t.Errorf("deploy/integration imports %s: want only gen, client/failover and client/browsertest", imp)
			}
		}
	}
}

func TestDependenciesAreFew(t *testing.T) {
	t.Parallel()
	standard := map[string]bool{}
	for _, p := range list(t, "std") {
		standard[p.ImportPath] = true
	}
	var paths []string
	for path := range allowedDependencies {
		paths = append(paths, "./"+path)
	}
	for _, p := range list(t, paths...) {
		path := strings.TrimPrefix(p.ImportPath, module)
		allowed := allowedDependencies[path]
		var others []string
		for _, dep := range p.Deps {
			under := func(prefix string) bool { return dep == prefix || strings.HasPrefix(dep, prefix+"/") }
			if !standard[dep] && !strings.HasPrefix(dep, "vendor/") && !under(module+path) && !slices.ContainsFunc(allowed, under) {
				others = append(others, dep)
			}
		}
		if len(others) > 0 {
			t.Errorf("%s depends on %d packages that are not allowed, such as %s", path, len(others), others[len(others)-1])
		}
	}
}

func TestAPIsHaveAllowedImporters(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		for _, imp := range p.Imports {
			var api string
			for one := range allowedImporters {
				if (imp == one || strings.HasPrefix(imp, one+"/")) && len(one) > len(api) {
					api = one
				}
			}
			if inside := allowedImporters[api]; api != "" && !strings.HasPrefix(p.ImportPath, module+inside) {
				t.Errorf("%s imports %s: only packages in %s may", p.ImportPath, imp, inside)
			}
		}
	}
}
