// Package ctl implements supervisor ctl: the commands that show and control the replicas of a
// supervisor through its control service.
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

// controlEnv is the environment variable that is used without --control.
const controlEnv = "SUPERVISOR_CONTROL"

// Command is supervisor ctl with its flags and subcommands, for package commandline. The parser
// needs a variable default_addr. Errors about input are [*inputfile.Mistake].
type Command struct {
	Control          string `group:"Connection" placeholder:"ADDR" env:"SUPERVISOR_CONTROL" default:"${default_addr}" help:"Address of the supervisor's control service, HOST:PORT or unix:///PATH. (default: ${default})"`
	transport.Client `group:"Connection"`

	Output output `group:"Output" short:"o" placeholder:"text|json" default:"text" help:"Format of the result: text, or lines of JSON. (default: ${default})"`

	List           listCmd           `cmd:"" help:"Show all replicas."`
	Get            getCmd            `cmd:"" help:"Show one replica in detail."`
	Watch          watchCmd          `cmd:"" help:"Show events as they happen, one per line."`
	Logs           logsCmd           `cmd:"" help:"Show the last lines that a replica wrote."`
	Start          startCmd          `cmd:"" help:"Launch replicas that are down or waiting, now."`
	Stop           stopCmd           `cmd:"" help:"Stop replicas; they stay down until they are started."`
	Restart        restartCmd        `cmd:"" help:"Stop replicas and launch them again, all at the same time."`
	RollingRestart rollingRestartCmd `cmd:"" help:"Restart replicas one at a time, each after the one before is ready."`
	Signal         signalCmd         `cmd:"" help:"Send a signal to replicas."`
	Scale          scaleCmd          `cmd:"" help:"Change the number of replicas of a group."`
	SetPolicy      setPolicyCmd      `cmd:"" help:"Change the restart policy of a group."`
	Reload         reloadCmd         `cmd:"" help:"Make the supervisor read its cluster file again."`
	Reopen         reopenCmd         `cmd:"" help:"Make the supervisor reopen its events and log files, as after a rename."`
}

// Help shows examples.
func (Command) Help() string {
	return `Examples:

    supervisor ctl list --watch
    supervisor ctl restart a --wait`
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

// credentials returns the credentials that the flags select.
func (c *Command) credentials(stderr io.Writer) (credentials.TransportCredentials, error) {
	if c.Enabled() && strings.HasPrefix(c.Control, "unix:") {
		return nil, inputfile.Place{Name: "--tls-ca"}.Errorf("%s: a Unix socket has no TLS: omit the --tls flags", c.Control)
	}
	found, err := c.Credentials(func(err error) {
		fmt.Fprintln(stderr, "supervisor: renewed certificates cannot be used, the old ones stay in use:", err)
	})
	if bad, ok := errors.AsType[*transport.Error](err); ok {
		return nil, inputfile.Place{Name: "--tls-" + bad.Setting}.Errorf("%v", bad.Err)
	}
	return found, err
}

// source returns the name of the flag or variable that the supervisor's address came from.
func (c *Command) source() string {
	if c.Control == os.Getenv(controlEnv) {
		return controlEnv
	}
	return "--control"
}

// failure returns the error of a call without gRPC's jargon. An error about the cluster file keeps
// its line and column.
func (c *Command) failure(err error) error {
	s, ok := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return err
	case s.Code() == codes.Unavailable:
		message := transport.Plain(s.Message())
		if !strings.Contains(message, "--tls-") { // that is advice enough
			message += "; give its address with --control or " + controlEnv
		}
		return fmt.Errorf("no supervisor answers at %s: %s", c.Control, message)
	case s.Code() == codes.Unimplemented:
		return fmt.Errorf("the server at %s is not a supervisor: %s", c.Control, s.Message())
	}
	return errors.New(strings.TrimPrefix(s.Message(), `group "": `)) // a group without a name is the only one
}

// names select the replicas of a command. No name is an error rather than all replicas, so that a
// missing name in a script does not stop everything.
type names struct {
	Names []string `arg:"" optional:"" name:"name" help:"Names of replicas, or of groups for all their replicas."`
	All   bool     `group:"Replicas" help:"All replicas, instead of names."`
}

func (n *names) check() error {
	if (len(n.Names) > 0) == n.All {
		return inputfile.Place{}.Errorf("want names of replicas or groups, or --all; see supervisor ctl list")
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
