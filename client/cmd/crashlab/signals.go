package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopPatience is how long a phase may take to end after a signal, and how long each write may take
// then: the output may be stuck.
const stopPatience = 30 * time.Second

// exitNow is os.Exit; tests replace it.
var exitNow = os.Exit

// phase is a part of a command that ends early, but in an orderly way, at Ctrl-C or SIGTERM.
// Outside of phases, and at a second signal, these signals end the process at once, as is the
// default.
type phase struct {
	received chan os.Signal
	ended    chan struct{}
	watched  chan struct{} // closed when watch has returned
	signaled bool          // valid after watched is closed
}

// begin begins a phase. The returned context ends with ctx, at a signal, and with the phase.
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

// end ends the phase, if it has not ended yet, and returns the output to use from then on.
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

// unlessStuck is a writer for use after a signal: a write that takes too long ends the process.
type unlessStuck struct{ io.Writer }

func (w unlessStuck) Write(b []byte) (int, error) {
	late := time.AfterFunc(stopPatience, func() { exitNow(exitInterrupted) })
	defer late.Stop()
	return w.Writer.Write(b)
}
