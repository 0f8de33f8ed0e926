package remote_test

import (
	"context"
	"fmt"
	"log"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/remote"
	"example.com/crashlab/client/experiment/trials"
)

// Run a design on the cluster of "make run-cluster".
func Example() {
	d, err := design.Load("deploy/experiments/quick.yaml", design.Overrides{Parallel: 1})
	if err != nil {
		log.Fatal(err)
	}
	engine := remote.New(cluster.Target{Control: []string{"127.0.0.1:7100"}}, nil)
	folder, err := (&trials.Run{Engine: engine, Runs: "runs"}).Do(context.Background(), d)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the records are in", folder)
}
