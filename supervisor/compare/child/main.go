//go:build linux

// Child is the gRPC server that runs under every supervisor. It records the time just after it
// listens, and just before it exits, which SIGUSR1 makes it do.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"example.com/crashlab/supervisor/compare/clock"
	"example.com/crashlab/supervisor/compare/record"
)

func main() {
	addr := flag.String("addr", "", "`HOST:PORT` to listen at")
	name := flag.String("name", "", "`NAME` in the records")
	records := flag.String("records", "", "`FILE` to append the records to")
	chatty := flag.String("chatty", "", "`NAME` of the child whose output to stdout SIGUSR2 switches on and off")
	readyFD := flag.Int("ready-fd", -1, "`FD` to which a newline is written when the child listens, as s6 expects")
	rate := flag.Int64("rate", 100, "output of that child, in `MB/s`")
	flag.Parse()
	if err := run(*addr, *name, *records, *readyFD, *name == *chatty, *rate*1e6); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

func run(addr, name, records string, readyFD int, chatty bool, rate int64) error {
	file, err := record.Open(records)
	if err != nil {
		return err
	}
	note := func(k record.Kind, n int64) {
		r := record.Record{Kind: k, Child: name, PID: os.Getpid(), Started: clock.Started, At: clock.Now(), Bytes: n}
		if err := r.Append(file); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
		}
	}
	exit := make(chan os.Signal, 1)
	signal.Notify(exit, syscall.SIGUSR1)
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	note(record.Listening, 0)
	if readyFD >= 0 {
		if _, err := syscall.Write(readyFD, []byte("\n")); err != nil {
			return fmt.Errorf("ready-fd: %w", err)
		}
		syscall.Close(readyFD)
	}
	go func() {
		<-exit
		note(record.Exit, 0)
		os.Exit(1)
	}()
	if chatty {
		go chatter(rate, note)
	}
	return server.Serve(l)
}

// chatter writes lines of 100 bytes to stdout while it is switched on, rate bytes a second if the
// reader keeps up. SIGUSR2 switches it on and off.
func chatter(rate int64, note func(record.Kind, int64)) {
	const pause = 5 * time.Millisecond
	toggle := make(chan os.Signal, 1)
	signal.Notify(toggle, syscall.SIGUSR2)
	var on atomic.Bool
	go func() {
		for range toggle {
			on.Store(!on.Load())
		}
	}()
	lines := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", int(rate/100*int64(pause)/int64(time.Second))))
	var wrote int64
	for tick, was := time.Tick(pause), false; ; <-tick {
		if now := on.Load(); now != was {
			note(record.Wrote, wrote)
			was = now
		}
		if was {
			n, _ := os.Stdout.Write(lines)
			wrote += int64(n)
		}
	}
}
