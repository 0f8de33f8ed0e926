package lab_test

import (
	"context"
	"fmt"
	"log"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/trials"
)

// Run a design on real processes. "make" builds bin/counterd.
func Example() {
	d, err := design.Load("deploy/experiments/quick.yaml", design.Overrides{})
	if err != nil {
		log.Fatal(err)
	}
	r := trials.Run{
		Engine:     &lab.Lab{Counterd: "bin/counterd"},
		Runs:       "runs",
		OnProgress: func(p trials.Progress) { fmt.Println(p.Ended, "of", p.Trials) },
	}
	folder, err := r.Do(context.Background(), d)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the records are in", folder)
}
