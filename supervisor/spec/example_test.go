package spec_test

import (
	"fmt"

	"example.com/crashlab/supervisor/spec"
)

// The replicas of a web server listen at consecutive ports, and are ready when they answer.
func ExampleGroup() {
	g := spec.Group{
		Name:  "web",
		Count: 2,
		Replica: func(i int) spec.Replica {
			addr := fmt.Sprint("127.0.0.1:", 8080+i)
			return spec.Replica{
				Name:  fmt.Sprint("web-", i),
				Args:  []string{"./web", "--listen", addr},
				Addr:  addr,
				Ready: spec.Probe{Kind: spec.ProbeHTTP, Path: "/healthz"},
			}
		},
	}
	for i := range g.Count {
		fmt.Println(g.Replica(i).Name, g.Replica(i).Addr)
	}
	// Output:
	// web-0 127.0.0.1:8080
	// web-1 127.0.0.1:8081
}
