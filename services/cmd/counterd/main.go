// Command counterd serves one replica of the Counter service, and lets it fail on purpose.
//
// It exits with 0 after SIGTERM or SIGINT, 1 when it could not serve or when a simulated crash struck, and 2 for a flag
// that is not allowed. A second signal ends it at once.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	f, err := parseFlags(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "counterd: %v\n", err)
		return 2
	}
	logger := hclog.New(&hclog.LoggerOptions{
		Name:       "counterd",
		Level:      f.LogLevel,
		JSONFormat: f.LogJSON,
		Output:     os.Stderr,
	})
	if err := serve(f, logger); err != nil {
		logger.Error("cannot serve", "error", err)
		return 1
	}
	return 0
}
