package advise_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"example.com/crashlab/client/experiment/advise"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/simulate"
)

// Which policy answers 90% of the calls within two seconds if no replica crashes?
func Example() {
	s := design.Defaults()
	s.Concurrency = 3
	if err := s.ServiceTime.UnmarshalText([]byte("uniform:10ms:50ms")); err != nil {
		log.Fatal(err)
	}
	answer, err := advise.Find(context.Background(), advise.Question{
		Goal:     advise.Goal{Success: 0.9, P99: 2 * time.Second},
		Settings: s,
		Model:    simulate.DefaultModel(),
		Seed:     1,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("possible:", answer.Possible)
	for _, f := range advise.Policy(answer.Best.Settings) {
		fmt.Println(f.Factor, f.Value)
	}
	// Output:
	// possible: true
	// deadline 4s
}
