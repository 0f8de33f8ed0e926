package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopPatience is how long after a signal a phase may take to end, and each write after it: the
// output may be stuck.
const stopPatience = 30 * time.Second

// exitNow is os.Exit, but for tests.
var exitNow = os.Exit

// phase is a part of a command that Ctrl-C or SIGTERM ends early and well. Everywhere else, and at
// a second signal, they end the process at once, as is the system's default.
type phase struct {
	received chan os.Signal
	ended    chan struct{}
	watched  chan struct{} // closed when received is no more looked at
	signaled bool          // valid then
}

// begin begins a phase. The context ends with ctx, at a signal, and with the phase.
func begin(ctx context.Context) (context.Context, *phase) {
	ctx, cancel := context.WithCancel(ctx)
	p := &phase{received: make(chan os.Signal, 1), ended: make(chan struct{}), watched: make(chan struct{})}
	signal.Notify(p.received, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(p.watched)
		p.watch(cancel)
	}()
	return ctx, p
}

// watch calls stop at a signal, and returns when the phase has ended.
func (p *phase) watch(stop func()) {
	defer stop()
	select {
	case <-p.received:
	case <-p.ended:
		return
	}
	p.signaled = true
	signal.Stop(p.received)
	stop()
	select {
	case <-p.ended:
	case <-time.After(stopPatience):
		exitNow(exitInterrupted)
	}
}

// end ends the phase, if it has not ended yet, and returns where its last words go.
func (p *phase) end(out output) output {
	select {
	case <-p.ended:
	default:
		signal.Stop(p.received)
		close(p.ended)
	}
	<-p.watched
	if p.signaled || len(p.received) > 0 {
		return output{unlessStuck{out.stdout}, unlessStuck{out.stderr}}
	}
	return out
}

// unlessStuck is a writer for the last words after a signal: a write that takes too long ends the
// process.
type unlessStuck struct{ io.Writer }

func (w unlessStuck) Write(b []byte) (int, error) {
	late := time.AfterFunc(stopPatience, func() { exitNow(exitInterrupted) })
	defer late.Stop()
	return w.Writer.Write(b)
}
