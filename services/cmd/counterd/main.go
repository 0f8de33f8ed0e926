// Command counterd serves one replica of the Counter service and injects faults into it. See
// counterd --help for its flags and exit codes. It drains at SIGTERM or SIGINT; a second signal
// ends it at once.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor/transport"
)

// Exit codes other than 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	f, err := parseFlags(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "counterd: %v\n", err)
		return exitUsage
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
		return exitUsage
	}
	if err != nil {
		logger.Error("cannot serve", "error", err)
		return exitFailed
	}
	return 0
}
