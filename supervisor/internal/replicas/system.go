package replicas

import (
	"context"
	"syscall"

	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/restart"
)

// System is the interface to the operating system.
type System interface {
	// Launch starts the process of an incarnation, unless ctx has ended. The error says why the
	// program could not be executed.
	Launch(ctx context.Context, m Member, incarnation int) (Process, error)
}

// Process is implemented by [process.Process].
type Process interface {
	PID() int
	Notified() <-chan struct{}
	Abandoned() <-chan int
	Ended() <-chan process.End
	Signal(sig syscall.Signal) error
	Terminate(sig syscall.Signal, leaderAlone bool)
	Kill() (processes int, err error)
	Holds(addr string) error
}

func exitOf(e process.End) restart.Exit {
	return restart.Exit{Code: e.Code, Signal: e.Signal, Uptime: e.Uptime, Err: e.Err}
}
