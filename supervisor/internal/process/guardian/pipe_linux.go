package guardian

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeEmpty reports whether everything written to the pipe has been read.
func pipeEmpty(pipe *os.File) bool {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return true
	}
	unread := 0
	if conn.Control(func(fd uintptr) { unread, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) != nil {
		return true
	}
	return unread == 0
}
