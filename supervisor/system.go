package supervisor

import (
	"context"
	"syscall"
	"time"
)

// system is the seam to the operating system.
type system interface {
	// launch starts an incarnation's process, unless ctx has ended. The error
	// says why the program could not be executed.
	launch(ctx context.Context, r placed, incarnation int) (process, error)
}

// process is a launched process and its group.
type process interface {
	pid() int
	// notified is closed when the process has said that it is ready; nil
	// unless its replica's Ready is a ProbeNotify.
	notified() <-chan struct{}
	// ended delivers one value, when the process has ended, what it left
	// behind is killed and its last lines are most likely delivered.
	ended() <-chan ending
	// signal sends sig to the group; once the process has ended, to nobody.
	signal(sig syscall.Signal)
}

// ending is the end of a process and when that was.
type ending struct {
	Exit
	at     time.Time
	output []string // the last lines
}
