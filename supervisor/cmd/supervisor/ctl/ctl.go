// Package ctl is the part of the command line that shows and commands the replicas of
// a supervisor through its control service.
package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/transport"
)

// controlEnv is the environment variable that stands in for --control.
const controlEnv = "SUPERVISOR_CONTROL"

// Command is supervisor ctl, with its flags and subcommands, for kong, which must have
// a variable default_addr. Errors about input are [*inputfile.Mistake].
type Command struct {
	Control string `placeholder:"ADDR" env:"SUPERVISOR_CONTROL" default:"${default_addr}" help:"Where the supervisor is controlled, HOST:PORT or unix:///PATH (default ${default})"`
	transport.Client

	Output output `short:"o" placeholder:"text|json" default:"text" help:"How to show the result: text, or lines of JSON (default ${default})"`

	List           listCmd           `cmd:"" help:"Show all replicas."`
	Get            getCmd            `cmd:"" help:"Show one replica."`
	Watch          watchCmd          `cmd:"" help:"Show what happens, one line an event."`
	Logs           logsCmd           `cmd:"" help:"Show the last lines that a replica wrote."`
	Start          startCmd          `cmd:"" help:"Launch replicas that are down, and those that wait, now."`
	Stop           stopCmd           `cmd:"" help:"Stop replicas; they stay down until they are started."`
	Restart        restartCmd        `cmd:"" help:"Stop replicas and launch them again, all at a time."`
	RollingRestart rollingRestartCmd `cmd:"" help:"Restart replicas one at a time; the next when the one before is ready again."`
	Signal         signalCmd         `cmd:"" help:"Send a signal to replicas."`
	Scale          scaleCmd          `cmd:"" help:"Change the number of replicas of a group."`
	SetPolicy      setPolicyCmd      `cmd:"" help:"Change what is given of the restart policy of a group."`
	Reload         reloadCmd         `cmd:"" help:"Have the supervisor read its cluster file again."`
	Reopen         reopenCmd         `cmd:"" help:"Have the supervisor open its events and log files again, as after a rename."`
}

// call connects to the supervisor and calls do, which writes the result to w.
func (c *Command) call(k *kong.Context, do func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error) error {
	credentials, err := c.credentials(k.Stderr)
	if err != nil {
		return err
	}
	conn, err := control.NewClient(c.Control, credentials)
	if err != nil {
		return inputfile.Place{Name: c.source()}.Errorf("%v", err)
	}
	defer conn.Close()
	return c.failure(do(context.Background(), supervisorv1.NewSupervisorClient(conn), k.Stdout))
}

// credentials returns those that the flags ask for.
func (c *Command) credentials(stderr io.Writer) (credentials.TransportCredentials, error) {
	if c.Enabled() && strings.HasPrefix(c.Control, "unix:") {
		return nil, inputfile.Place{Name: "--tls-ca"}.Errorf("%s: a supervisor has no TLS at a path: leave out the flags --tls", c.Control)
	}
	found, err := c.Credentials(func(err error) {
		fmt.Fprintln(stderr, "supervisor: the certificates from before stay in use:", err)
	})
	if bad, ok := errors.AsType[*transport.Error](err); ok {
		return nil, inputfile.Place{Name: "--tls-" + bad.Setting}.Errorf("%v", bad.Err)
	}
	return found, err
}

// source returns where the address of the supervisor came from.
func (c *Command) source() string {
	if c.Control == os.Getenv(controlEnv) {
		return controlEnv
	}
	return "--control"
}

// failure returns the error of a call without gRPC's jargon. An error about the
// cluster file keeps its place there.
func (c *Command) failure(err error) error {
	s, ok := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return err
	case s.Code() == codes.Unavailable:
		message := transport.Plain(s.Message())
		if !strings.Contains(message, "--tls-") { // which is advice enough
			message += "; --control ADDR or " + controlEnv + " says where it is"
		}
		return fmt.Errorf("no supervisor answers at %s: %s", c.Control, message)
	case s.Code() == codes.Unimplemented:
		return fmt.Errorf("what answers at %s is no supervisor: %s", c.Control, s.Message())
	}
	return errors.New(strings.TrimPrefix(s.Message(), `group "": `)) // the only one, which has no name
}

// names are the replicas that a command is for. No name is an error and does not
// mean all: a name that is missing in a script must not stop everything.
type names struct {
	Names []string `arg:"" optional:"" name:"name" help:"Names of replicas, or of groups for all in them."`
	All   bool     `help:"All replicas, in place of names."`
}

func (n *names) check() error {
	if (len(n.Names) > 0) == n.All {
		return inputfile.Place{}.Errorf("want names of replicas or groups, or --all for all; see supervisor ctl list")
	}
	return nil
}

// writeJSON writes a message as one line of JSON.
func writeJSON(w io.Writer, m proto.Message) error {
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	// Protojson's own spaces differ from build to build.
	var line json.RawMessage = text
	return json.NewEncoder(w).Encode(line)
}
