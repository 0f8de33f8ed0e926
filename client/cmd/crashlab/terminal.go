package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// terminalLine is a line on a terminal that each draw replaces. The zero value draws nothing.
type terminalLine struct {
	w      io.Writer // nil: draw nothing
	legend string    // explains the signs in the line; shown once, above it
}

// newTerminalLine returns a line on w if that is a terminal, or one that draws nothing.
func newTerminalLine(w io.Writer, legend string) *terminalLine {
	if !isTerminal(w) {
		return &terminalLine{}
	}
	return &terminalLine{w, legend}
}

// draw replaces the line. A line that is wider than the terminal is cut, because one that wraps
// could not be replaced.
func (l *terminalLine) draw(line string) {
	if l.w == nil {
		return
	}
	if l.legend != "" {
		fmt.Fprintln(l.w, cut(l.legend, columns(l.w)-1))
		l.legend = ""
	}
	fmt.Fprintf(l.w, "\r\033[K%s", cut(line, columns(l.w)-1))
}

// clear removes the line.
func (l *terminalLine) clear() {
	if l.w != nil {
		fmt.Fprint(l.w, "\r\033[K")
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// columns returns the width of a terminal. If that is unknown, it is the value of the
// environment variable COLUMNS, or else 80.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 80
}

// cut shortens a line to at most so many characters; an ellipsis shows that it did.
func cut(line string, most int) string {
	runes := []rune(line)
	most = max(most, 1)
	if len(runes) <= most {
		return line
	}
	return string(runes[:most-1]) + "…"
}
