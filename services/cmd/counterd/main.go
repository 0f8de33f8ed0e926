// Command counterd serves one replica of the Counter service, and lets it fail on purpose.
//
// It exits with 0 after SIGTERM or SIGINT, 1 when it could not serve or when a simulated crash
// struck, and 2 for a flag that is not allowed. A second signal ends it at once.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor/transport"
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
	err = serve(f, logger)
	if _, bad := errors.AsType[*transport.Error](err); bad || errors.Is(err, transport.ErrExposed) {
		fmt.Fprintf(os.Stderr, "counterd: %v\n", err)
		return 2
	}
	if err != nil {
		logger.Error("cannot serve", "error", err)
		return 1
	}
	return 0
}
