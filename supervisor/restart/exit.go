package restart

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit describes how an incarnation ended, or why it never began.
type Exit struct {
	Code   int            // exit code, 0 to 255; -1 if a signal ended it or Err is set
	Signal syscall.Signal // the signal that ended it; zero: none
	Uptime time.Duration  // from launch to exit; zero if it was never launched
	Ready  time.Duration  // from ready to exit; zero if it was never ready
	Err    error          // why it could not be launched, or why its exit status could not be read; else nil
}

// notRun reports whether the program did not run: it could not be executed, or the exit code is one
// of 125 to 127, by which a shell, env(1) or a container runtime reports that.
func (e Exit) notRun() bool {
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

// Success reports whether the program exited by itself with code 0.
func (e Exit) Success() bool { return e.Err == nil && e.Code == 0 }

// NeverReady reports whether the incarnation failed to start, as opposed to crashing later: it was
// never ready, or its program did not run.
func (e Exit) NeverReady() bool { return e.Ready == 0 || e.notRun() }

// LocalShortage reports whether an error was caused by a lack of memory, processes, file
// descriptors or the like on this machine, and therefore not by the replica.
func LocalShortage(err error) bool {
	for _, lack := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.EADDRNOTAVAIL,
	} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// SignalName returns the name of a signal, such as SIGSTOP, or its number if it has no name.
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return strconv.Itoa(int(sig))
}
