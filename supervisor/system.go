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
	// abandoned delivers one value if the first process has ended and left
	// others of the replica behind.
	abandoned() <-chan ending
	// ended delivers one value, when all processes of the replica have ended
	// and the last lines are most likely delivered.
	ended() <-chan ending
	// signal sends sig to the group; once the replica has ended, to nobody.
	signal(sig syscall.Signal)
	// terminate asks the replica to end.
	terminate(sig syscall.Signal, to StopTarget)
	// kill sends SIGKILL to all processes of the replica, and returns how many
	// there were; zero: unknown.
	kill() int
	// holds returns nil if the replica listens at an address, or if that
	// cannot be known; else the error says who does.
	holds(addr string) error
}

// ending is the end of a replica, or of its first process, and when that was.
type ending struct {
	Exit
	at     time.Time
	left   int      // with abandoned: how many processes run on
	output []string // with ended: the last lines
}
