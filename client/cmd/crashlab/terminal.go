package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

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
	f, ok := file(w)
	return ok && isatty.IsTerminal(f.Fd())
}

// file returns the file that w writes to, if it is one.
func file(w io.Writer) (*os.File, bool) {
	if after, ok := w.(unlessStuck); ok {
		w = after.Writer
	}
	f, ok := w.(*os.File)
	return f, ok
}

// columns returns the width of a terminal. If that is unknown, it is the value of the
// environment variable COLUMNS, or else 80.
func columns(w io.Writer) int {
	if f, ok := file(w); ok {
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

// printLines writes a text. On a terminal it folds lines that are too wide; elsewhere, where
// programs may read them, lines stay whole.
func printLines(w io.Writer, text, indent string) error {
	if isTerminal(w) {
		text = fold(text, columns(w), indent)
	}
	_, err := io.WriteString(w, text)
	return err
}

// pageWidth is the width of texts that are folded wherever they go, like the help pages.
const pageWidth = 80

// fold breaks lines at spaces to make them fit so many columns. What follows a break is indented.
func fold(text string, columns int, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for at := breakOf(line, columns); at >= 0; at = breakOf(line, columns) {
			b.WriteString(strings.TrimRight(line[:at], " ") + "\n")
			line = indent + strings.TrimLeft(line[at:], " ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// breakOf returns the index of the space at which to break a line that is wider than so many
// columns: the last one within them or, if there is none after the indentation, the first one after
// them. It returns -1 if the line fits, or has no such space.
func breakOf(line string, columns int) int {
	last, column := -1, 0
	if utf8.RuneCountInString(strings.TrimRight(line, " \n")) <= columns {
		return last
	}
	for i, r := range line {
		switch {
		case r != ' ' || strings.TrimLeft(line[:i], " ") == "":
		case column <= columns:
			last = i
		case last < 0:
			return i
		default:
			return last
		}
		column++
	}
	return last
}
