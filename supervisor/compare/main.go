//go:build linux

// Compare measures crashlab's supervisor against others: the same gRPC child runs under each of
// them, and under a bare loop of fork and exec, the floor.
//
//	go run . peers     from a child's exit until its successor listens
//	go run . delay     the same with a restart delay
//	go run . scale     3, 50 and 200 replicas: memory, threads, launch, kill
//	go run . output    a child that writes 100 MB/s beside others that crash
//	go run . all       all of these, as make compare does
//
// Run it in the directory supervisor/compare, which is a module of its own. The other supervisors
// are Debian packages: apt-get install supervisor runit s6. Those that are not installed are left
// out. It requires Linux, loopback ports from 20000 on, and some minutes in which the machine does
// little else. Ctrl-C ends it together with everything that it has started.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commandLine struct {
	Results    string `short:"o" placeholder:"FILE" help:"File for the results; by default stdout"`
	Supervisor string `placeholder:"PROGRAM" help:"Supervisor to measure; by default that of this repository"`

	Peers  peersCmd  `cmd:"" help:"From a child's exit until its successor listens, under each supervisor."`
	Delay  delayCmd  `cmd:"" help:"The same with a restart delay, under our supervisor."`
	Scale  scaleCmd  `cmd:"" help:"Memory, threads, launch and kill of many replicas, under our supervisor and the floor."`
	Output outputCmd `cmd:"" help:"How soon our supervisor reports an exit while another child writes 100 MB/s."`
	All    allCmd    `cmd:"" help:"All four, one after the other, with their defaults."`
	Floor  floorCmd  `cmd:"" hidden:""`
}

// measurement is implemented by the commands that measure something in a lab.
type measurement interface {
	measure(ctx context.Context, l *lab, progress io.Writer) (*report, error)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "compare:", err)
	_, misused := errors.AsType[*kong.ParseError](err)
	switch {
	case misused:
		os.Exit(2)
	case ctx.Err() != nil:
		os.Exit(130)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	var cli commandLine
	parser, err := kong.New(&cli, kong.Name("compare"), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Description("Measures crashlab's supervisor against others."))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	switch cmd := parsed.Selected().Target.Addr().Interface().(type) {
	case *floorCmd:
		return parsed.Run()
	case *allCmd:
		err = cmd.run(ctx, cli.Supervisor, &text)
	case measurement:
		err = measure(ctx, cmd, cli.Supervisor, &text)
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil:
		return err
	case cli.Results == "":
		_, err = os.Stdout.Write(text.Bytes())
		return err
	}
	return os.WriteFile(cli.Results, text.Bytes(), 0o644)
}

// measure makes a measurement in a lab of its own, and writes the report.
func measure(ctx context.Context, m measurement, supervisor string, w io.Writer) error {
	l, err := openLab(ctx, supervisor)
	if err != nil {
		return err
	}
	defer l.close()
	r, err := m.measure(ctx, l, os.Stderr)
	if err != nil {
		return err
	}
	r.print(w)
	return nil
}
