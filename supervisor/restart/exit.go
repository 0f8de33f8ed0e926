package restart

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit is how an incarnation ended, or why it never began.
type Exit struct {
	Code   int            // exit code, 0 to 255; -1 if a signal ended it or Err is set
	Signal syscall.Signal // the signal that ended it; zero: none
	Uptime time.Duration  // from launch to exit; zero if it was never launched
	Ready  time.Duration  // from ready to exit; zero if it never was ready
	Err    error          // why it could not be launched or its end not be read; else nil
}

// NotRun reports that the service did not fail, as it never ran: the program
// could not be executed, or a shell, env or container runtime in front of it
// said so with its exit code, 125 to 127.
func (e Exit) NotRun() bool {
	return e.Err != nil || 125 <= e.Code && e.Code <= 127
}

func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return SignalName(e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Success reports that the program ended by itself with exit code 0.
func (e Exit) Success() bool { return e.Err == nil && e.Code == 0 }

// NeverReady reports that the incarnation was of no use to anyone: a failure to
// start, not a crash.
func (e Exit) NeverReady() bool { return e.Ready == 0 || e.NotRun() }

// OurLack reports that an error came about because this machine, or our process,
// has no more of something: no fault of the replica's.
func OurLack(err error) bool {
	for _, lack := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// SignalName is the name of a signal as events have it: SIGSTOP, or its number
// where it has no name.
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return strconv.Itoa(int(sig))
}
